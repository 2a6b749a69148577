--- Assertions, by the names that luassert has them under: `assert.are.equal(1, n)`, `assert.is_nil(x)`, …
---
--- A name is a chain of words: `is`, `are`, `has` and the like mean nothing, `not` and `no` turn the sense, and the rest
--- is the assertion. A failure is a table: what was expected, what was got, and where.
local host, show, load_spies = ...

local checks, aliases = {}, {}

--- How many arguments an assertion takes, where it is not one. What follows them is what the author says of it.
local arity = { equal = 2, same = 2, error = 2, error_matches = 2, matches = 2, contains = 2, near = 3 }

local failure_meta = {
  __tostring = function(self)
    return self.message
  end,
}

--- Ends the test.
local function fail(message, expected, got)
  error(setmetatable({ failed = true, message = message, expected = expected, got = got }, failure_meta), 0)
end

--- A handle of a process or an account stands for its id.
local function plain(value)
  local id = type(value) == "table" and getmetatable(value) and rawget(value, "id")
  return type(id) == "string" and id or value
end

local function equal(a, b)
  return a == b or plain(a) == plain(b)
end

local function same(a, b, seen)
  a, b = plain(a), plain(b)
  if rawequal(a, b) then
    return true
  end
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  seen = seen or {}
  if seen[a] and seen[a][b] then
    return true
  end
  seen[a] = seen[a] or {}
  seen[a][b] = true
  for key, value in pairs(a) do
    if not same(value, b[key], seen) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

-- Each answers: does it hold, what is said if not, expected, got; the last is what is said if it should not have held.
function checks.equal(expected, got)
  local what = "expected the same value"
  if type(expected) == "table" and type(got) == "table" and same(expected, got) then
    what = "expected the same table, not one with equal contents (assert.are.same compares those)"
  end
  return equal(expected, got), what, show(expected), show(got)
end

function checks.same(expected, got)
  return same(expected, got), "expected equal contents", show(expected), show(got)
end

checks["true"] = function(got)
  return got == true, "expected true", "true", show(got)
end

checks["false"] = function(got)
  return got == false, "expected false", "false", show(got)
end

checks["nil"] = function(got)
  return got == nil, "expected nil", "nil", show(got)
end

function checks.truthy(got)
  return not not got, "expected something that counts as true", "a value", show(got)
end

function checks.falsy(got)
  return not got, "expected nil or false", "nil or false", show(got)
end

function checks.error(run, expected)
  local ok, problem = pcall(run)
  if ok then
    return false, "expected an error, and there was none", expected ~= nil and show(expected) or "an error", "no error"
  end
  if expected == nil then
    return true, "expected no error", "an error", show(tostring(problem))
  end
  problem = host.error_text(problem) or problem
  if type(problem) == "string" and type(expected) == "string" then
    local plain = problem:gsub("^[^\n]-:%d+: ", "")
    return problem == expected or plain == expected, "expected another error", show(expected), show(problem)
  end
  return same(expected, problem), "expected another error", show(expected), show(problem)
end

function checks.error_matches(run, pattern)
  local ok, problem = pcall(run)
  local text = ok and "no error" or host.error_text(problem) or tostring(problem)
  return not ok and text:find(pattern) ~= nil, "expected an error that matches", show(pattern), show(text)
end

function checks.matches(pattern, text)
  return type(text) == "string" and text:find(pattern) ~= nil, "expected a match", show(pattern), show(text)
end

function checks.contains(part, whole)
  local found = false
  if type(whole) == "string" then
    found = whole:find(tostring(part), 1, true) ~= nil
  elseif type(whole) == "table" then
    for _, value in pairs(whole) do
      found = found or same(part, value)
    end
  end
  return found, "expected it to be in there", show(part), show(whole)
end

function checks.near(expected, got, tolerance)
  local ok = type(got) == "number" and math.abs(expected - got) <= tolerance
  return ok, "expected a number within " .. tostring(tolerance), show(expected), show(got)
end

for _, kind in ipairs({ "string", "number", "table", "boolean", "userdata", "thread" }) do
  checks[kind] = function(got)
    return type(got) == kind, "expected a " .. kind, kind, type(got) .. ": " .. show(got)
  end
end
checks["function"] = function(got)
  return type(got) == "function", "expected a function", "function", type(got) .. ": " .. show(got)
end

for alias, name in pairs({
  equals = "equal", errors = "error", throws = "error", matches_error = "error_matches", match = "matches",
  ["error_match"] = "error_matches", is_truthy = "truthy", falsey = "falsy", contain = "contains", includes = "contains",
}) do
  aliases[alias] = name
end

local fillers = { is = true, are = true, was = true, were = true, has = true, have = true, be = true, does = true, to = true }
local turns = { ["not"] = true, no = true, isnt = true, arent = true }

function checks.unique(list)
  local seen = {}
  for _, value in pairs(list) do
    for _, other in ipairs(seen) do
      if same(value, other) then
        return false, "expected no value twice", "each value once", show(value)
      end
    end
    seen[#seen + 1] = value
  end
  return true, "expected no value twice", "each value once", show(list)
end

function checks.returned_arguments(count, ...)
  local got = select("#", ...)
  return got == count, "expected another number of values", tostring(count), tostring(got)
end

local globals, spies = load_spies(same, checks)

--- `assert.array(list).has.no.holes()`.
local arrays = {
  holes = function(list, count)
    local last = count or 0
    for key in pairs(list) do
      last = math.type(key) == "integer" and key > last and not count and key or last
    end
    for at = 1, last do
      if list[at] == nil then
        return true, "expected holes", "holes", "none"
      end
    end
    return false, "expected holes", "holes", show(list)
  end,
}

local chain

--- `assert.spy(s)`, `assert.array(list)` and `assert.message(text)` say what follows is about.
local begins = {
  spy = function(said, value)
    if not spies.is_spy(value) then
      error("assert.spy needs a spy: spy.new(f), spy.on(table, 'name') or stub(table, 'name')", 4)
    end
    return chain({}, said, { checks = spies.asked, value = value })
  end,
  array = function(said, value)
    return chain({}, said, { checks = arrays, value = value })
  end,
  message = function(_, value)
    return chain({}, tostring(value))
  end,
}
begins.stub = begins.spy

local function call(self, ...)
  local words, about = rawget(self, "words"), rawget(self, "about")
  local said = rawget(self, "said")
  local turned, rest = false, {}
  for _, word in ipairs(words) do
    if turns[word] then
      turned = not turned
    elseif not fillers[word] then
      rest[#rest + 1] = word
    end
  end
  local name = table.concat(rest, "_")
  if begins[name] and not about then
    return begins[name](said, ...)
  end
  name = aliases[name] or name
  local check = (about and about.checks or checks)[name]
  if not check then
    error("there is no assertion " .. table.concat(words, "."), 3)
  end
  local holds, message, expected, got
  if about then
    holds, message, expected, got = check(about.value, ...)
  else
    holds, message, expected, got = check(...)
    said = said or select((arity[name] or 1) + 1, ...)
  end
  if not holds == turned then
    return ...
  end
  if turned then
    message, expected = (message:gsub("^expected", "did not expect")), "not " .. expected
  end
  fail(type(said) == "string" and said .. ": " .. message or message, expected, got)
end

local function index(self, key)
  local words = { table.unpack(rawget(self, "words")) }
  -- assert.True and assert.Nil are there because true and nil are words of Lua.
  for word in tostring(key):gmatch("[^_]+") do
    words[#words + 1] = word:lower()
  end
  return chain(words, rawget(self, "said"), rawget(self, "about"))
end

local chain_meta = { __index = index, __call = call }

function chain(words, said, about)
  return setmetatable({ words = words, said = said, about = about }, chain_meta)
end

local texts = {}
local say = {
  set = function(_, key, text)
    texts[key] = text
  end,
}
setmetatable(say, {
  __call = function(_, key)
    return texts[key] or key
  end,
})

--- Adds an assertion or a matcher, as luassert does it: `run(state, arguments)` says whether it holds.
local function register(_, kind, name, run, positive)
  if kind == "matcher" then
    return spies.register(name, run)
  elseif kind ~= "assertion" then
    error("assert:register takes an assertion or a matcher, not a " .. tostring(kind), 2)
  end
  checks[name] = function(...)
    local given = table.pack(...)
    local message = positive and say(positive) or "expected that it is " .. name
    local at = 0
    message = message:gsub("%%s", function()
      at = at + 1
      return show(given[at])
    end)
    return run({ mod = true }, given), message, name, given.n == 1 and show(given[1]) or show({ ... })
  end
end

local assert = setmetatable({
  words = {}, register = register,
  add_formatter = function() end, set_parameter = function() end,
  snapshot = function()
    local from = spies.mark()
    return {
      revert = function()
        spies.revert(from)
      end,
    }
  end,
}, {
  __index = index,
  __call = function(_, value, message, ...)
    if not value then
      if type(message) == "table" then
        error(message, 0)
      end
      fail(message ~= nil and tostring(message) or "assertion failed", "a value", show(value))
    end
    return value, message, ...
  end,
})

globals.say, globals.luassert = say, assert
return assert, fail, same, globals, spies

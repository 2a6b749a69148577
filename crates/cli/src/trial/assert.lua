--- Assertions, by the names that luassert has them under: `assert.are.equal(1, n)`, `assert.is_nil(x)`, …
---
--- A name is a chain of words: `is`, `are`, `has` and the like mean nothing, `not` and `no` turn the sense, and the rest
--- is the assertion. A failure is a table: what was expected, what was got, and where.
local host, show = ...

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

local function call(words, ...)
  local turned, rest = false, {}
  for _, word in ipairs(words) do
    if turns[word] then
      turned = not turned
    elseif not fillers[word] then
      rest[#rest + 1] = word
    end
  end
  local name = table.concat(rest, "_")
  name = aliases[name] or name
  local check = checks[name]
  if not check then
    error("there is no assertion " .. table.concat(words, "."), 3)
  end
  local holds, message, expected, got = check(...)
  if not holds == turned then
    return ...
  end
  local said = select((arity[name] or 1) + 1, ...)
  if turned then
    message, expected = (message:gsub("^expected", "did not expect")), "not " .. expected
  end
  fail(type(said) == "string" and said .. ": " .. message or message, expected, got)
end

local chain
local function index(self, key)
  local words = { table.unpack(rawget(self, "words")) }
  -- assert.True and assert.Nil are there because true and nil are words of Lua.
  for word in tostring(key):gmatch("[^_]+") do
    words[#words + 1] = word:lower()
  end
  return chain(words)
end

function chain(words)
  return setmetatable({ words = words }, {
    __index = index,
    __call = function(_, ...)
      return call(words, ...)
    end,
  })
end

local assert = setmetatable({ words = {} }, {
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

return assert, fail, same

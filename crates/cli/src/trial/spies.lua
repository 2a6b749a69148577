--- `spy`, `stub`, `mock` and `match`, as luassert has them.
local show, same, checks = ...

--- Calls that a spy remembers, at most.
local CALLS_MAX = 10000

local spies = {}
local spy, stub, mock, match = {}, {}, {}, {}
local matcher_meta = {}
local spied = {}

local function is_spy(value)
  return type(value) == "table" and getmetatable(value) == spied
end

local function is_matcher(value)
  return type(value) == "table" and getmetatable(value) == matcher_meta
end

--- Whether arguments are as expected: values with equal contents, or what a matcher takes.
local function fits(expected, got)
  if expected.n ~= got.n then
    return false
  end
  for at = 1, expected.n do
    local wanted = expected[at]
    if is_matcher(wanted) then
      if not wanted.fits(got[at]) then
        return false
      end
    elseif not same(wanted, got[at]) then
      return false
    end
  end
  return true
end

-- Tables are remembered as they were when the call was made.
local function copy(value, seen)
  if type(value) ~= "table" or getmetatable(value) then
    return value
  end
  seen = seen or {}
  if not seen[value] then
    local new = {}
    seen[value] = new
    for key, inner in next, value do
      new[key] = copy(inner, seen)
    end
  end
  return seen[value]
end

local function packed(...)
  local values = table.pack(...)
  for at = 1, values.n do
    values[at] = copy(values[at])
  end
  return values
end

local function listed(values)
  local parts = {}
  for at = 1, values.n do
    parts[at] = is_matcher(values[at]) and values[at].name or show(values[at])
  end
  return "(" .. table.concat(parts, ", ") .. ")"
end

spied.__index = {
  clear = function(self)
    self.calls, self.returned = {}, {}
    return self
  end,
  revert = function(self)
    if self.owner then
      self.owner[self.key] = self.callback
      self.owner = nil
    end
    return self.callback
  end,
}
spied.__call = function(self, ...)
  if #self.calls >= CALLS_MAX then
    error("a spy was called more than " .. CALLS_MAX .. " times", 2)
  end
  self.calls[#self.calls + 1] = packed(...)
  local results = table.pack(self.target(...))
  self.returned[#self.returned + 1] = results
  return table.unpack(results, 1, results.n)
end

local function made(run)
  local new = setmetatable({ calls = {}, returned = {}, target = run, callback = run }, spied)
  spies[#spies + 1] = new
  return new
end

function spy.new(run)
  return made(run or function() end)
end

function spy.on(owner, key)
  local new = made(owner[key])
  new.owner, new.key = owner, key
  owner[key] = new
  return new
end

spy.is_spy = is_spy
setmetatable(spy, { __call = function(_, run) return spy.new(run) end })

--- A stub answers what it was told, and calls nothing.
local function stubbed(new, ...)
  local fixed = table.pack(...)
  local cases = {}
  local otherwise = function()
    return table.unpack(fixed, 1, fixed.n)
  end
  if fixed.n == 1 and type(fixed[1]) == "function" then
    otherwise = fixed[1]
  end
  new.target = function(...)
    local got = table.pack(...)
    for at = #cases, 1, -1 do
      if fits(cases[at].arguments, got) then
        return cases[at].run(...)
      end
    end
    return otherwise(...)
  end
  local function answers(set)
    return {
      returns = function(...)
        local values = table.pack(...)
        set(function()
          return table.unpack(values, 1, values.n)
        end)
        return new
      end,
      invokes = function(run)
        set(run)
        return new
      end,
    }
  end
  local usual = answers(function(run)
    otherwise = run
  end)
  new.returns, new.invokes, new.by_default = usual.returns, usual.invokes, usual
  new.on_call_with = function(...)
    local case = { arguments = table.pack(...) }
    return answers(function(run)
      case.run = run
      cases[#cases + 1] = case
    end)
  end
  return new
end

function stub.new(owner, key, ...)
  if owner == nil then
    return stubbed(made(function() end))
  end
  local new = spy.on(owner, key)
  return stubbed(new, ...)
end

setmetatable(stub, { __call = function(_, ...) return stub.new(...) end })

--- Every function of a table, and of those in it, becomes a spy; with `true`, a stub.
local function mocked(owner, is_stub, seen)
  if seen[owner] then
    return owner
  end
  seen[owner] = true
  for key, value in pairs(owner) do
    if type(value) == "function" then
      local _ = is_stub and stub.new(owner, key) or spy.on(owner, key)
    elseif type(value) == "table" and not is_spy(value) then
      mocked(value, is_stub, seen)
    end
  end
  return owner
end

local function unmocked(owner, what, seen)
  if seen[owner] then
    return
  end
  seen[owner] = true
  for _, value in pairs(owner) do
    if is_spy(value) then
      value[what](value)
    elseif type(value) == "table" then
      unmocked(value, what, seen)
    end
  end
  return owner
end

function mock.clear(owner)
  return unmocked(owner, "clear", {})
end

function mock.revert(owner)
  return unmocked(owner, "revert", {})
end

setmetatable(mock, {
  __call = function(_, owner, is_stub)
    return mocked(owner, is_stub, {})
  end,
})

local function matcher(name, run)
  return setmetatable({ name = name, fits = run }, matcher_meta)
end

match._ = matcher("anything", function()
  return true
end)

--- `match.is_string()`, `match.is_not_nil()`, `match.matches("a+")`: any assertion of one value.
setmetatable(match, {
  __index = function(_, key)
    local turned, words = false, {}
    for word in tostring(key):gmatch("[^_]+") do
      word = word:lower()
      if word == "not" or word == "no" then
        turned = not turned
      elseif not ({ is = true, are = true, has = true })[word] then
        words[#words + 1] = word
      end
    end
    local name = table.concat(words, "_")
    name = ({ equals = "equal", match = "matches" })[name] or name
    local check = checks[name]
    if not check and name ~= "any" then
      error("there is no matcher " .. tostring(key), 2)
    end
    return function(...)
      local expected = table.pack(...)
      return matcher("match." .. key, function(got)
        if name == "any" then
          return true
        end
        local holds
        if expected.n > 0 then
          holds = check(expected[1], got)
        else
          holds = check(got)
        end
        return (not not holds) ~= turned
      end)
    end
  end,
})

local function times(n)
  return ({ [0] = "never", "once", "twice" })[n] or n .. " times"
end

--- The arguments of the calls that there were, a line each.
local function history(calls)
  if #calls == 0 then
    return "no call"
  end
  local lines = {}
  for at = 1, math.min(#calls, 20) do
    lines[at] = listed(calls[at])
  end
  if #calls > 20 then
    lines[21] = "… and " .. #calls - 20 .. " more"
  end
  return table.concat(lines, "\n")
end

local asked = {}

function asked.called(self, count)
  if count == nil then
    return #self.calls > 0, "expected a call", "a call", "no call"
  end
  return #self.calls == count, "expected another number of calls", times(count), times(#self.calls)
end

for name, compare in pairs({
  called_at_least = function(got, n) return got >= n end,
  called_at_most = function(got, n) return got <= n end,
  called_more_than = function(got, n) return got > n end,
  called_less_than = function(got, n) return got < n end,
}) do
  asked[name] = function(self, count)
    return compare(#self.calls, count), "expected another number of calls", name:gsub("called_", ""):gsub("_", " ") .. " " .. count, times(#self.calls)
  end
end

local function any(all, expected)
  for _, got in ipairs(all) do
    if fits(expected, got) then
      return true
    end
  end
  return false
end

function asked.called_with(self, ...)
  local expected = table.pack(...)
  return any(self.calls, expected), "expected a call with these arguments", listed(expected), history(self.calls)
end

function asked.returned_with(self, ...)
  local expected = table.pack(...)
  return any(self.returned, expected), "expected that it returned this", listed(expected), history(self.returned)
end

--- Undoes what spies and stubs replaced; at the end of a test.
local function revert(from)
  for at = #spies, from + 1, -1 do
    spies[at]:revert()
    spies[at] = nil
  end
end

local function mark()
  return #spies
end

--- `assert:register("matcher", …)`.
local function register(name, run)
  rawset(match, name, function(...)
    local fits_it = run({ mod = true }, table.pack(...))
    return matcher("match." .. name, fits_it)
  end)
end

return { spy = spy, stub = stub, mock = mock, match = match }, {
  asked = asked, is_spy = is_spy, mark = mark, revert = revert, register = register,
}

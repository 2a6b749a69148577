--- Functions on lists and tables, each also callable with fewer arguments: `map(f)(list)` is `map(f, list)`.
---
--- The data comes last. A list is a table with the keys 1 to n; nothing here changes the table it is given.
local utils = { _version = "0.0.5" }

local select, type, ipairs, pairs = select, type, ipairs, pairs
local find, lower = string.find, string.lower

local function expect(value, kind, where)
  if type(value) ~= kind then
    error(where .. " should be a " .. kind .. ", it is a " .. type(value), 3)
  end
end

local function expect_function(value, where)
  if type(value) ~= "function" and not (type(value) == "table" and getmetatable(value) and getmetatable(value).__call) then
    error(where .. " should be a function, it is a " .. type(value), 3)
  end
end

--- Is this a table whose keys are exactly 1 to n?
local function is_list(value)
  if type(value) ~= "table" then
    return false
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

local function expect_list(value, where)
  if not is_list(value) then
    error(where .. " should be a list", 3)
  end
end

--- A function that collects its arguments, over any number of calls, until there are `arity` of them.
---@param f function
---@param arity? integer how many; as many as `f` names, when it is not said
---@return function
function utils.curry(f, arity)
  expect_function(f, "curry: the first argument")
  arity = arity or debug.getinfo(f, "u").nparams
  if arity < 2 then
    return f
  end
  local function collect(got, have)
    return function(...)
      local given = select("#", ...)
      local all = table.move(got, 1, have, 1, {})
      for at = 1, given do
        all[have + at] = (select(at, ...))
      end
      if have + given >= arity then
        return f(table.unpack(all, 1, have + given))
      end
      return collect(all, have + given)
    end
  end
  return collect({}, 0)
end

--- One list after the other, as a new list.
utils.concat = utils.curry(function(first, second)
  expect_list(first, "concat: the first argument")
  expect_list(second, "concat: the second argument")
  local all = table.move(first, 1, #first, 1, {})
  return table.move(second, 1, #second, #all + 1, all)
end, 2)

--- Folds a table into one value with `f(result, value, key)`. A list is walked in order; so are, by key, other tables.
utils.reduce = utils.curry(function(f, start, values)
  expect_function(f, "reduce: the first argument")
  expect(values, "table", "reduce: the third argument")
  local result = start
  if #values > 0 then
    for at, value in ipairs(values) do
      -- A list may begin without a start: its first value is it.
      if result == nil then
        result = value
      else
        result = f(result, value, at)
      end
    end
    return result
  end
  for _, key in ipairs(utils.keys(values)) do
    result = f(result, values[key], key)
  end
  return result
end, 3)

--- A list of what `f(value, index)` gives for each value.
utils.map = utils.curry(function(f, values)
  expect_function(f, "map: the first argument")
  expect_list(values, "map: the second argument")
  local out = {}
  for at = 1, #values do
    out[at] = f(values[at], at)
  end
  return out
end, 2)

--- A list of the values that `f` says yes to.
utils.filter = utils.curry(function(f, values)
  expect_function(f, "filter: the first argument")
  expect_list(values, "filter: the second argument")
  local out = {}
  for _, value in ipairs(values) do
    if f(value) then
      out[#out + 1] = value
    end
  end
  return out
end, 2)

--- The first value that `f` says yes to, or nil.
utils.find = utils.curry(function(f, values)
  expect_function(f, "find: the first argument")
  expect(values, "table", "find: the second argument")
  for _, value in ipairs(values) do
    if f(value) then
      return value
    end
  end
end, 2)

--- The list from its end to its beginning.
---@param values any[]
---@return any[]
function utils.reverse(values)
  expect_list(values, "reverse: the argument")
  local out, count = {}, #values
  for at = 1, count do
    out[at] = values[count - at + 1]
  end
  return out
end

--- The function that calls the given ones from the last to the first.
---@param ... function
---@return function
function utils.compose(...)
  local steps, count = { ... }, select("#", ...)
  return function(...)
    if count == 0 then
      return ...
    end
    local result = table.pack(steps[count](...))
    for at = count - 1, 1, -1 do
      result = table.pack(steps[at](table.unpack(result, 1, result.n)))
    end
    return table.unpack(result, 1, result.n)
  end
end

--- The field of that name.
utils.prop = utils.curry(function(name, object)
  expect(object, "table", "prop: the second argument")
  return object[name]
end, 2)

--- Is the field of that name equal to the value?
utils.propEq = utils.curry(function(name, value, object)
  expect(object, "table", "propEq: the third argument")
  return object[name] == value
end, 3)

--- Is the value in the list?
utils.includes = utils.curry(function(wanted, values)
  expect(values, "table", "includes: the second argument")
  for _, value in ipairs(values) do
    if value == wanted then
      return true
    end
  end
  return false
end, 2)

local function key_order(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a == kind_b and (kind_a == "string" or kind_a == "number") then
    return a < b
  end
  if kind_a ~= kind_b then
    return kind_a < kind_b
  end
  return tostring(a) < tostring(b)
end

--- The keys, in order: numbers before texts.
---@param object table
---@return any[]
function utils.keys(object)
  expect(object, "table", "keys: the argument")
  local out = {}
  for key in pairs(object) do
    out[#out + 1] = key
  end
  table.sort(out, key_order)
  return out
end

--- The values, in the order of their keys.
---@param object table
---@return any[]
function utils.values(object)
  expect(object, "table", "values: the argument")
  local out = utils.keys(object)
  for at = 1, #out do
    out[at] = object[out[at]]
  end
  return out
end

--- The text with its first letter in upper case.
---@param text string
---@return string
function utils.capitalize(text)
  return (text:gsub("^%l", string.upper))
end

local normal = {}
local normal_count = 0

--- A tag's name as handlers see it: `x-my_tag` is `X-My-Tag`.
---
--- Names repeat from message to message: they are remembered, up to a bound, for any stranger may invent new ones.
---@param name string
---@return string
function utils.normalize(name)
  local known = normal[name]
  if known then
    return known
  end
  local made = lower(name):gsub("_", "-"):gsub("^%l", string.upper):gsub("%-%l", string.upper)
  if normal_count < 1000 and #name <= 64 then
    normal_count = normal_count + 1
    normal[name] = made
  end
  return made
end

--- Does a text match a pattern's text: equal but for case, or as a Lua pattern where it has magic characters?
local function matches_text(pattern, value)
  if pattern == value then
    return true
  end
  local want, have = lower(pattern), lower(value)
  if want == have then
    return true
  end
  if not find(want, "[%^%$%(%)%%%.%[%]%*%+%?]") then
    return false
  end
  -- Classes keep their case: %D is not %d.
  local folded = pattern:gsub("%%?.", function(token)
    return #token == 1 and lower(token) or token
  end)
  local ok, at = pcall(string.match, have, folded)
  return ok and at ~= nil
end

--- Does a value match one entry of a specification?
---@param pattern any `'_'` for anything, a text, a function of (value, msg), or a list of these
---@param value any
---@param msg table
---@return boolean
function utils.matchesPattern(pattern, value, msg)
  if value == nil or pattern == nil then
    return false
  end
  local kind = type(pattern)
  if kind == "string" then
    if pattern == "_" then
      return true
    end
    if type(value) == "string" then
      return matches_text(pattern, value)
    end
    return pattern == tostring(value)
  elseif kind == "function" then
    return pattern(value, msg) and true or false
  elseif kind == "table" then
    for _, one in pairs(pattern) do
      if utils.matchesPattern(one, value, msg) then
        return true
      end
    end
    return false
  end
  return pattern == value
end

--- Does a message match a specification: a function of it, an Action, or a table whose every key matches?
---@param msg table
---@param spec function|string|table
---@return any
function utils.matchesSpec(msg, spec)
  local kind = type(spec)
  if kind == "function" then
    return spec(msg)
  elseif kind == "string" then
    return msg.Action == spec
  elseif kind ~= "table" then
    return false
  end
  local tags = msg.Tags
  for key, pattern in pairs(spec) do
    local value = msg[key]
    if value == nil and tags then
      value = tags[key]
    end
    if value == nil or not utils.matchesPattern(pattern, value, msg) then
      return false
    end
  end
  return true
end

return utils

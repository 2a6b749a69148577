-- JSON written in Lua, the same on every machine: 1,000 items there and back.
local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }

local function encode(value)
  local kind = type(value)
  if kind == "string" then
    return '"' .. value:gsub('["\\\n]', escapes) .. '"'
  elseif kind ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if #value > 0 then
    for i, item in ipairs(value) do parts[i] = encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = encode(key) .. ":" .. encode(item) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local decode

local function sequence(text, at, close, item)
  at = text:match("^%s*()", at)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = text:match("^%s*()", item(at))
    local here = text:sub(at, at)
    at = at + 1
    if here == close then return at end
    assert(here == ",", "a comma is missing")
  end
end

function decode(text, at)
  at = text:match("^%s*()", at)
  local here = text:sub(at, at)
  if here == "{" then
    local object = {}
    return object, sequence(text, at + 1, "}", function(from)
      local key, after = decode(text, from)
      after = text:match("^%s*:()", after)
      object[key], after = decode(text, after)
      return after
    end)
  elseif here == "[" then
    local list = {}
    return list, sequence(text, at + 1, "]", function(from)
      local value, after = decode(text, from)
      list[#list + 1] = value
      return after
    end)
  elseif here == '"' then
    local content, after = text:match('^"([^"\\]*)"()', at)
    if not content then
      content, after = text:match('^"(.-[^\\])"()', at)
      content = content:gsub("\\(.)", function(c) return c == "n" and "\n" or c end)
    end
    return content, after
  end
  local word, after = text:match("^([%w.+-]+)()", at)
  if word == "true" then return true, after elseif word == "false" then return false, after end
  return tonumber(word), after
end

local items = {}
for i = 1, 1000 do
  items[i] = { id = i, name = "item " .. i, price = i / 4, tags = { "a", "b\n", 'c"' }, sold = i % 2 == 0 }
end

return function()
  local text = encode(items)
  local back = decode(text, 1)
  return #back + #text
end

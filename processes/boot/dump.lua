--- Writes a value as Lua would read it again, where that is possible.

local keys = require(".utils").keys

local words = {}
for word in
  ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until while]]):gmatch(
    "%l+"
  )
do
  words[word] = true
end

local function name(key)
  if type(key) == "string" then
    if key:find("^[%a_][%w_]*$") and not words[key] then
      return key
    end
    return ("[%q]"):format(key)
  end
  return "[" .. tostring(key) .. "]"
end

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\\n" }

local function text(value)
  local escaped = value:gsub('[\\"\n]', escapes):gsub("(%c)(%d?)", function(c, digit)
    if c == "\n" then
      return nil
    end
    -- Before a digit the number needs all of its three places.
    return (digit ~= "" and "\\%03d" or "\\%d"):format(c:byte()) .. digit
  end)
  return '"' .. escaped .. '"'
end

--- Lua text of a value, one entry on each line; functions and the like by their name.
---@param value any
---@return string
local function dump(value)
  local seen = {}
  local function write(inner, indent)
    if type(inner) == "string" then
      return text(inner)
    elseif type(inner) ~= "table" then
      return tostring(inner)
    elseif seen[inner] then
      return '"<circular reference>"'
    elseif next(inner) == nil then
      return "{}"
    end
    seen[inner] = true
    local out = {}
    for _, key in ipairs(keys(inner)) do
      out[#out + 1] = indent .. "    " .. name(key) .. " = " .. write(inner[key], indent .. "    ")
    end
    seen[inner] = nil
    return "{\n" .. table.concat(out, ",\n") .. "\n" .. indent .. "}"
  end
  return write(value, "")
end

return dump

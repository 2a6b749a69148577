--- Writes values as people read them on a terminal, in colours.
local stringify = { _version = "0.0.1" }

local keys = require(".utils").keys

local colors = { red = "\27[31m", green = "\27[32m", blue = "\27[34m", gray = "\27[90m", reset = "\27[0m" }
stringify.colors = colors

--- Is this a list of plain values, which is written on one line?
---@param value table
---@return boolean
function stringify.isSimpleArray(value)
  local count = 0
  for key, inner in pairs(value) do
    count = count + 1
    local kind = type(inner)
    if math.type(key) ~= "integer" or (kind ~= "number" and kind ~= "string" and kind ~= "boolean") then
      return false
    end
  end
  return count == #value
end

local format

local function scalar(value)
  if type(value) == "string" then
    return colors.green .. '"' .. value .. '"' .. colors.reset
  end
  return colors.blue .. tostring(value) .. colors.reset
end

local function inner(value, indent, seen)
  if type(value) ~= "table" then
    return scalar(value)
  end
  if seen[value] then
    return "<circular reference>"
  end
  return format(value, indent, seen)
end

function format(value, indent, seen)
  if stringify.isSimpleArray(value) then
    local out = {}
    for at = 1, #value do
      out[at] = scalar(value[at])
    end
    return "{ " .. table.concat(out, ", ") .. " }"
  end
  seen[value] = true
  local pad, out, count = (" "):rep(indent), {}, #value
  local listed = 0
  for at = 1, count do
    listed = at
    out[at] = pad .. "  " .. inner(value[at], indent + 2, seen)
  end
  local is_list = true
  for _, key in ipairs(keys(value)) do
    if not (math.type(key) == "integer" and key >= 1 and key <= listed) then
      is_list = false
      out[#out + 1] = pad
        .. "   "
        .. colors.red
        .. tostring(key)
        .. colors.reset
        .. " = "
        .. inner(value[key], indent + 2, seen)
    end
  end
  seen[value] = nil
  return "{\n" .. table.concat(out, ",\n") .. "\n" .. pad .. (is_list and " }" or "}")
end

--- Text for a person: tables in colours and indented; whatever is in itself is written once.
---@param value any
---@param indent? integer how far in it stands
---@return string
function stringify.format(value, indent)
  if type(value) ~= "table" then
    return scalar(value)
  end
  return format(value, indent or 0, {})
end

return stringify

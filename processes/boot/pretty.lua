--- Writes tables as plain indented text.
local pretty = { _version = "0.0.1" }

local keys = require(".utils").keys

--- One `key: value` on each line; what is deeper is further in.
---@param value table
---@param indent? integer
---@return string
function pretty.tprint(value, indent)
  indent = indent or 0
  local out, seen = {}, {}
  local function write(object, depth)
    seen[object] = true
    for _, key in ipairs(keys(object)) do
      local inner = object[key]
      local head = (" "):rep(depth) .. tostring(key) .. ": "
      if type(inner) ~= "table" then
        out[#out + 1] = head .. tostring(inner) .. "\n"
      elseif seen[inner] then
        out[#out + 1] = head .. "<circular reference>\n"
      else
        out[#out + 1] = head .. "\n"
        write(inner, depth + 1)
      end
    end
    seen[object] = nil
  end
  write(value, indent)
  return table.concat(out)
end

return pretty

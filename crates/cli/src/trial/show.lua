--- A value as people read it: keys in their order, tables in several lines if one is too long. Ids that have a name are
--- shown with it. The same in every run: nothing of it is an address in memory.
local host = ...

local WIDE = 72
local opaque = { ["function"] = "a function", userdata = "userdata", thread = "a coroutine" }

local function text(value)
  local quoted = string.format("%q", value):gsub("\\\n", "\\n")
  local name = #value == 43 and host.called(value)
  return name and quoted .. " (" .. name .. ")" or quoted
end

local function show(value, indent, seen)
  local kind = type(value)
  if kind == "string" then
    return text(value)
  elseif kind ~= "table" then
    return opaque[kind] or tostring(value)
  end
  local id = rawget(value, "id")
  if type(id) == "string" and getmetatable(value) then
    return text(id)
  end
  indent, seen = indent or "", seen or {}
  if seen[value] then
    return "{ … }"
  end
  seen[value] = true
  local parts, count = {}, #value
  for at = 1, count do
    parts[at] = show(value[at], indent .. "  ", seen)
  end
  local keys = {}
  for key in pairs(value) do
    if not (math.type(key) == "integer" and key >= 1 and key <= count) then
      local name = type(key) == "string" and key:match("^[%a_][%w_]*$") and key or "[" .. show(key, "", seen) .. "]"
      keys[#keys + 1] = { name = name, value = value[key] }
    end
  end
  table.sort(keys, function(a, b)
    return a.name < b.name
  end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = key.name .. " = " .. show(key.value, indent .. "  ", seen)
  end
  seen[value] = nil
  if #parts == 0 then
    return "{}"
  end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + #indent <= WIDE and not line:find("\n") then
    return line
  end
  return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. ",\n" .. indent .. "}"
end

return function(value)
  return show(value)
end

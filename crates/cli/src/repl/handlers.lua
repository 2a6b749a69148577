-- For each handler: its name, its pattern, the runs that are left, and which of the messages it would be shown now. The
-- messages are the first argument; the walk is the one that the process does.
local messages = ...

local function pattern(value)
  if type(value) == "string" then return "Action = " .. value end
  if type(value) == "function" then
    local info = debug and debug.getinfo and debug.getinfo(value, "S")
    if info then return "function " .. info.short_src .. ":" .. tostring(info.linedefined) end
    return "function"
  end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, inner in next, value do
    if type(inner) == "table" then inner = "one of several"
    elseif type(inner) ~= "string" then inner = type(inner) end
    parts[#parts + 1] = tostring(key) .. " = " .. inner
  end
  table.sort(parts)
  return table.concat(parts, ", ")
end

local utils = Handlers.utils and Handlers.utils.matchesSpec and Handlers.utils or require(".utils")
local meanings = { ["break"] = -1, ["continue"] = 1 }

-- -1: it is run and ends the walk; 0: it is not; 1: it is run and the walk goes on.
local function meaning(msg, spec)
  if type(spec) == "string" then return msg.Action == spec and -1 or 0 end
  local ok, answer = pcall(utils.matchesSpec, msg, spec)
  if not ok then return 0 end
  if type(answer) == "boolean" then return answer and -1 or 0 end
  return math.type(answer) and answer or meanings[answer] or 0
end

local function as_seen(msg)
  msg.TagArray, msg.Tags = msg.Tags, {}
  for _, tag in ipairs(msg.TagArray or {}) do
    msg.Tags[tag.name] = tag.value
    if msg[tag.name] == nil then msg[tag.name] = tag.value end
  end
  return msg
end

local calls = {}
for at, msg in ipairs(messages) do
  msg = as_seen(msg)
  local is_believed = msg.From == msg.Owner or msg.Id == ao.id or not ao.isTrusted or ao.isTrusted(msg)
  local is_open, default = is_believed, nil
  for _, handler in ipairs(Handlers.list) do
    if not is_open then break end
    if handler.name == "_default" then
      default = handler
    else
      local match = meaning(msg, handler.pattern)
      if match ~= 0 then
        calls[handler] = (calls[handler] and calls[handler] .. "," or "") .. at
      end
      is_open = match >= 0
    end
  end
  if is_open and default then
    calls[default] = (calls[default] and calls[default] .. "," or "") .. at
  end
end

local out = {}
for at, handler in ipairs(Handlers.list) do
  if at > 1000 then break end
  local line = table.concat({
    tostring(handler.name), pattern(handler.pattern), tostring(handler.maxRuns or ""), calls[handler] or "",
  }, "\t")
  out[#out + 1] = line:gsub("\n", " ")
end
return "names:\n" .. table.concat(out, "\n")

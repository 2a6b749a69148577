--- `require("aolite")`: `t` by the names that aolite has for it.
local host, t, now = ...

local aolite, by_name = {}, {}


local function named(id)
  if type(id) == "table" then
    return id
  end
  return by_name[id] or t.process(id)
end

function aolite.spawnProcess(name, source, tags)
  local what = { tags = tags or {} }
  if type(source) == "string" then
    if host.is_file(source) then
      what.source = source
    elseif host.is_file(source .. ".lua") then
      what.source = source .. ".lua"
    else
      what.code = source
    end
  end
  -- aolite runs what it is given at the boot; here it is evaluated after it.
  local kept = {}
  for key, value in pairs(what.tags) do
    local tag_name = type(value) == "table" and value.name or key
    if tag_name ~= "On-Boot" then
      kept[key] = value
    end
  end
  what.tags = kept
  local process = t.spawn(what)
  host.name(process.id, name)
  process.name = name
  by_name[name] = process
  return process
end

function aolite.send(message)
  local copy = {}
  for key, value in pairs(message) do
    copy[key] = value
  end
  copy.Target = by_name[message.Target] or message.Target
  if message.From then
    local from = by_name[message.From] or message.From
    copy.From = from
  end
  return t.auto and t.send(copy) or t.post(copy)
end

aolite.queue = function(message)
  local copy = {}
  for key, value in pairs(message) do
    copy[key] = value
  end
  copy.Target = by_name[message.Target] or message.Target
  copy.From = message.From and (by_name[message.From] or message.From)
  return t.post(copy)
end

function aolite.eval(process, code)
  return named(process):eval(code)
end

function aolite.getAllMsgs(process, pattern)
  return t.sent(pattern, named(process))
end

function aolite.getFirstMsg(process, pattern)
  return aolite.getAllMsgs(process, pattern)[1]
end

function aolite.getLastMsg(process, pattern)
  local all = aolite.getAllMsgs(process, pattern)
  return all[#all]
end

function aolite.setAutoSchedule(auto)
  t.auto = auto
end

function aolite.reorderQueue(_, seed)
  return t.reorder(type(seed) == "number" and seed or nil)
end

aolite.runScheduler = t.run

function aolite.clearAllProcesses()
  by_name, now.last = {}, nil
  host.clear()
end

for name, value in pairs(aolite) do
  t[name] = t[name] or value
end

return aolite

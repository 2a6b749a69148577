local hits, ran = {}, {}

local function count(_, line)
  local source = debug.getinfo(2, "S").source
  if source:sub(1, 1) == "@" then
    local lines = hits[source]
    if not lines then
      lines = {}
      hits[source] = lines
    end
    lines[line] = (lines[line] or 0) + 1
  end
end

-- A hook belongs to a coroutine.
local create = coroutine.create
coroutine.create = function(run)
  local made = create(run)
  debug.sethook(made, count, "l")
  return made
end
coroutine.wrap = function(run)
  local made = coroutine.create(run)
  return function(...)
    local results = table.pack(coroutine.resume(made, ...))
    if not results[1] then
      error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
  end
end
for _, waiting in ipairs(Handlers.coroutines or {}) do
  debug.sethook(waiting, count, "l")
end

local own = {}
for _, handler in ipairs(Handlers.list) do
  local handle = handler.handle
  local function counted(...)
    ran[handle] = (ran[handle] or 0) + 1
    return handle(...)
  end
  own[counted] = handle
  handler.handle = counted
end

--- What a file wrote: aos wraps it in a function of its own.
local function inner(handle)
  if debug.getinfo(handle, "S").source:sub(1, 1) == "@" then
    return handle
  end
  for at = 1, 8 do
    local name, value = debug.getupvalue(handle, at)
    if name and type(value) == "function" and debug.getinfo(value, "S").source:sub(1, 1) == "@" then
      return value
    end
  end
  return handle
end

ao.result = function()
  local out = {}
  for source, lines in pairs(hits) do
    for line, times in pairs(lines) do
      out[#out + 1] = table.concat({ "L", times, line, source:sub(2) }, "\t")
    end
  end
  local list = {}
  for _, handler in ipairs(Handlers.list) do
    list[own[handler.handle] or handler.handle] = handler.name
  end
  for handle in pairs(ran) do
    list[handle] = list[handle] or "(once)"
  end
  for handle, name in pairs(list) do
    local info = debug.getinfo(inner(handle), "S")
    if info.source:sub(1, 1) == "@" and name:sub(1, 1) ~= "_" and name ~= "(once)" then
      out[#out + 1] = table.concat({ "H", ran[handle] or 0, info.linedefined, info.source:sub(2), name }, "\t")
    end
  end
  return { Output = { data = table.concat(out, "\n") }, Messages = {}, Spawns = {}, Assignments = {} }
end

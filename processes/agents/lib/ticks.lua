--- Which messages are ticks that an agent acts on. Everything that an agent does by itself begins here.

local because = require("lib.because")

--- When the last tick was due: a second for a cron, what a scheduled tick says otherwise.
LastTick = LastTick or nil

--- What the boot library calls a tick. aos has no word for it.
local function is_tick(msg)
  if ao.isTick then
    return ao.isTick(msg)
  end
  local scheduler = ao.env.Process.Tags.Scheduler
  return scheduler ~= nil and msg.From == scheduler and msg.Owner == scheduler and msg.Target == ao.id
    and msg.Tags["Tick-Name"] ~= nil and msg.Tags["Tick-Due"] ~= nil
end

--- When a tick was due; nil for what only calls itself one.
---
--- A scheduled tick is written by the process's own scheduler, and the boot library knows it (`ao.isTick`). A cron of the
--- legacy network is marked by the compute unit: `Cron` is true, not a text, so no tag that somebody sends is one.
---@param msg table
---@return string|nil
local function due(msg)
  if is_tick(msg) then
    return msg.Tags["Tick-Name"] .. " " .. msg.Tags["Tick-Due"]
  elseif msg.Action == "Tick" and msg.Cron == true then
    return tostring(tonumber(msg.Timestamp) // 1000)
  end
end

--- Has `run(msg)` run once for each tick. A cron ticks again after a message that comes in the second of a tick: that is
--- the same tick, and nothing is done twice for it.
---@param name string of the handler
---@param run fun(msg: table)
local function on_tick(name, run)
  Handlers.add(name, function(msg)
    return due(msg) ~= nil
  end, function(msg)
    local now = due(msg)
    if now == LastTick then
      return because("the tick of " .. now .. " was taken already")
    end
    LastTick = now
    run(msg)
  end)
end

return on_tick

--- Which messages are ticks that an agent acts on. Everything that an agent does by itself begins here.

--- Is it a tick that only time can have made?
---
--- A cron of today's network is marked by the compute unit (`Cron` is true, not a text: a tag that somebody sends never
--- is). A scheduled tick is signed by the scheduler, and the boot library knows it.
---@param msg table
---@return boolean
local function is_tick(msg)
  return msg.Action == "Tick" and (msg.Cron == true or (ao.isTick ~= nil and ao.isTick(msg) == true))
end

return is_tick

--- {{name}}: a number that messages and the clock add to.

-- Globals are the state of a process. They are kept when this file is loaded again.
Count = Count or 0
Ticks = Ticks or 0

--- The whole number that a text says, from 1 on.
local function whole(text)
  local number = math.tointeger(tonumber(text))
  return number and number >= 1 and number or nil
end

Handlers.add("inc", "Inc", function(msg)
  local by = whole(msg.By or "1")
  if not by then
    msg.reply({ Action = "Inc-Error", Error = "By must be a whole number from 1 on" })
    return
  end
  Count = Count + by
  msg.reply({ Action = "Inc-Result", Data = tostring(Count) })
end)

Handlers.add("get", "Get", function(msg)
  msg.reply({ Action = "Get-Result", Data = tostring(Count), Ticks = tostring(Ticks) })
end)

Handlers.add("tick", "Tick", function()
  Ticks = Ticks + 1
end)

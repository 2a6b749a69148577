--- A chat room: who registers is sent what members broadcast.
Members = Members or {}

--- Everybody who registers makes every broadcast larger.
local MEMBERS_MAX = 1000

local function place(address)
  for at, member in ipairs(Members) do
    if member == address then
      return at
    end
  end
end

Handlers.add("register", "Register", function(msg)
  if not place(msg.From) then
    if #Members >= MEMBERS_MAX then
      return msg.reply({ Action = "Register-Error", Error = "The room is full: " .. MEMBERS_MAX .. " members" })
    end
    table.insert(Members, msg.From)
  end
  msg.reply({ Action = "Registered", Data = "registered" })
end)

Handlers.add("unregister", "Unregister", function(msg)
  local at = place(msg.From)
  if at then
    table.remove(Members, at)
  end
  msg.reply({ Action = "Unregistered", Data = "unregistered" })
end)

Handlers.add("broadcast", "Broadcast", function(msg)
  if not place(msg.From) and msg.From ~= Owner then
    return msg.reply({ Action = "Broadcast-Error", Error = "Register first: only members broadcast" })
  end
  for _, member in ipairs(Members) do
    Send({
      Target = member,
      Action = "Broadcast-Notice",
      Broadcaster = msg.From,
      Nickname = msg.Nickname or msg.From:sub(1, 4) .. "..." .. msg.From:sub(-4),
      Data = msg.Data,
    })
  end
  msg.reply({ Action = "Broadcasted", Data = "Broadcasted." })
end)

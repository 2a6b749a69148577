--- A wallet for one token: what this process has of it, and a way to send some.
---
--- `Credits.process = "<id of the token>"` says which token. `Credits.update()` asks what there is, `Credits.balance` is
--- what was last heard, `Credits.send(recipient, quantity)` sends, in the smallest unit.
local bint = require(".bint")(256)

Credits = Credits or { balance = "0", log = {} }
CRED = CRED or Credits

--- Lines of `Credits.log` that are kept.
local LOG_MAX = 100

local function token()
  if type(Credits.process) ~= "string" then
    error("credits: say which token first: Credits.process = \"<its process id>\"", 3)
  end
  return Credits.process
end

local function note(line)
  table.insert(Credits.log, line)
  if #Credits.log > LOG_MAX then
    table.remove(Credits.log, 1)
  end
  print(line)
end

--- Asks the token; the answer sets `Credits.balance`.
function Credits.update()
  Send({ Target = token(), Action = "Balance", Recipient = ao.id }).onReply(function(msg)
    if type(msg.Balance) == "string" and msg.Balance:find("^%d+$") then
      Credits.balance = msg.Balance
    end
  end)
  return "Asked " .. token()
end

--- Sends an amount, a whole number as text or as an integer. The notices change `Credits.balance`.
function Credits.send(recipient, quantity)
  if math.type(quantity) == "float" then
    error("credits: a quantity is a whole number in the smallest unit, as text or integer", 2)
  end
  quantity = tostring(quantity)
  if not quantity:find("^%d+$") then
    error("credits: a quantity is a whole number in the smallest unit, not " .. quantity, 2)
  end
  Send({ Target = token(), Action = "Transfer", Recipient = recipient, Quantity = quantity })
  return "Sent " .. quantity .. " to " .. tostring(recipient)
end

local function from_token(action)
  return function(msg)
    return msg.Action == action and msg.From == Credits.process and tostring(msg.Quantity):find("^%d+$") ~= nil and "continue"
  end
end

Handlers.add("credits.credit", from_token("Credit-Notice"), function(msg)
  Credits.balance = tostring(bint(Credits.balance) + bint(msg.Quantity))
  note("Received " .. msg.Quantity .. " from " .. tostring(msg.Sender))
end)

Handlers.add("credits.debit", from_token("Debit-Notice"), function(msg)
  local left = bint(Credits.balance) - bint(msg.Quantity)
  Credits.balance = bint.isneg(left) and "0" or tostring(left)
  note("Sent " .. msg.Quantity .. " to " .. tostring(msg.Recipient))
end)

Handlers.add("credits.error", function(msg)
  return msg.Action == "Transfer-Error" and msg.From == Credits.process and "continue"
end, function(msg)
  note("Not sent: " .. tostring(msg.Error))
end)

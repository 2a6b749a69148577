--- {{name}}: an agent that acts by itself. On every tick it sends some of a token to somebody, until its budget is spent.
---
--- Its owner says what to do: `pirn send {{name}} --action Configure --tag Token=… --tag Recipient=… --tag Amount=5 --tag Budget=50`

-- Globals are the state of a process. They are kept when this file is loaded again.
Plan = Plan or nil
Spent = Spent or 0
Paused = Paused or false

--- The whole number that a text says, from 1 on.
local function whole(text)
  local number = math.tointeger(tonumber(text))
  return number and number >= 1 and number or nil
end

--- Matches messages of its owner only.
local function from_owner(action)
  return function(msg)
    return msg.Action == action and msg.From == Owner
  end
end

Handlers.add("configure", from_owner("Configure"), function(msg)
  local plan = { token = msg.Token, recipient = msg.Recipient, amount = whole(msg.Amount), budget = whole(msg.Budget) }
  if not (plan.token and plan.recipient and plan.amount and plan.budget) then
    msg.reply({ Action = "Configure-Error", Error = "Token, Recipient, Amount and Budget are needed" })
    return
  end
  Plan, Spent, Paused = plan, 0, false
  msg.reply({ Action = "Configured" })
end)

Handlers.add("pause", from_owner("Pause"), function(msg)
  Paused = true
  msg.reply({ Action = "Paused" })
end)

Handlers.add("status", "Status", function(msg)
  local doing = Plan and (Paused and "paused" or "at work") or "without a plan"
  msg.reply({ Action = "Status-Result", Data = doing, Spent = tostring(Spent) })
end)

-- Only the clock makes ticks: a stranger's message of that name is none.
Handlers.add("tick", function(msg) return msg.Action == "Tick" and msg.Cron end, function()
  if not Plan or Paused or Spent + Plan.amount > Plan.budget then
    return
  end
  Spent = Spent + Plan.amount
  Send({ Target = Plan.token, Action = "Transfer", Recipient = Plan.recipient, Quantity = tostring(Plan.amount) })
end)

Handlers.add("refused", function(msg) return msg.Action == "Transfer-Error" and Plan and msg.From == Plan.token end, function()
  -- What was not moved was not spent; the owner looks at it.
  Spent, Paused = Spent - Plan.amount, true
end)

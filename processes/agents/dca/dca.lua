--- A bot that buys a little at a time: on every tick it swaps the same amount at a pool, until its budget is spent.
---
--- Its owner configures it and transfers to it what it may spend. It asks the pool for a quote, and swaps for no less than
--- that less the slippage, and never for less than the owner's floor. One purchase is on its way at a time.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local on_tick = require("lib.ticks")

--- Ticks after which an answer is not waited for any more. What was sent stays spent until it comes back.
local PATIENCE = 5
--- Purchases that are remembered, the newest.
local PURCHASES_MAX = 100
local WHOLE = amount.of("10000")

Plan = Plan or nil
--- What was sent to the pool and did not come back; what it brought.
Spent = Spent or "0"
Bought = Bought or "0"
Paused = Paused or false
--- What is waited for: `{ order, stage = "quote"|"swap", ticks }`.
Waiting = Waiting or nil
Orders = Orders or 0
--- `{ order, paid, got, time }`, and `Open[order] = paid`: sent to the pool and not answered.
Purchases = Purchases or {}
Open = Open or {}

local function read(msg)
  local plan, problem = {}, nil
  for field, name in pairs({ pay = "Pay-Token", buy = "Buy-Token", pool = "Pool" }) do
    if not till.is_id(msg[name]) then
      return nil, name .. " must be an id"
    end
    plan[field] = msg[name]
  end
  if plan.pay == plan.buy then
    return nil, "Pay-Token and Buy-Token must differ"
  end
  for field, name in pairs({ amount = "Amount", budget = "Budget" }) do
    local number
    number, problem = amount.positive(msg[name], name)
    if not number then
      return nil, problem
    end
    plan[field] = amount.text(number)
  end
  local floor
  floor, problem = amount.parse(msg["Min-Output"] or "1", "Min-Output")
  if not floor then
    return nil, problem
  end
  plan.floor = amount.text(floor)
  plan.slippage, problem = amount.setting(msg.Slippage or "100", "Slippage (of ten thousand)", 0, 5000)
  if not plan.slippage then
    return nil, problem
  end
  return plan
end

Handlers.add("dca.configure", till.from_owner("Configure"), function(msg)
  local plan, problem = read(msg)
  if plan and Plan and next(Open) then
    plan, problem = nil, "a purchase is on its way: try again after it"
  elseif plan and Plan and (plan.pay ~= Plan.pay or plan.buy ~= Plan.buy)
    and not (amount.is_zero(till.held(Plan.pay)) and amount.is_zero(till.held(Plan.buy))) then
    plan, problem = nil, "withdraw what is held of the tokens before"
  end
  if not plan then
    return till.refuse(msg, "Configure", problem)
  end
  Plan, Spent, Bought, Waiting, Paused = plan, "0", "0", nil, false
  msg.reply({ Action = "Configured" })
end)

for action, paused in pairs({ Pause = true, Resume = false }) do
  Handlers.add("dca." .. action:lower(), till.from_owner(action), function(msg)
    Paused = paused
    msg.reply({ Action = action .. "d" })
  end)
end

Handlers.add("dca.withdraw", till.from_owner("Withdraw"), function(msg)
  local token = msg.Token
  if not Plan or (token ~= Plan.pay and token ~= Plan.buy) then
    return till.refuse(msg, "Withdraw", "Token must be the one that is paid with or the one that is bought")
  end
  local free = till.held(token) - till.owed(token)
  local quantity, problem = amount.positive(msg.Quantity or amount.text(free))
  if quantity and quantity > free then
    quantity, problem = nil, "only " .. amount.text(free) .. " is there"
  end
  if not quantity then
    return till.refuse(msg, "Withdraw", problem)
  end
  till.pay(token, Owner, quantity, { ["X-Action"] = "Withdrawn" })
end)

--- Closes an order; what it paid, or nothing if there is none.
local function close(msg)
  local order = msg["X-Order"]
  local paid = Plan and msg.Sender == Plan.pool and order and Open[order]
  if not paid then
    return nil
  end
  Open[order] = nil
  if Waiting and Waiting.order == order then
    Waiting = nil
  end
  return amount.of(paid)
end

till.on_credit(function(token)
  return Plan ~= nil and (token == Plan.pay or token == Plan.buy)
end, function(msg, quantity)
  if msg.From == Plan.buy then
    local paid = close(msg)
    if not paid then
      return nil, "no purchase is waiting for this"
    end
    Bought = amount.text(amount.of(Bought) + quantity)
    table.insert(Purchases, { order = msg["X-Order"], paid = amount.text(paid), got = amount.text(quantity), time = msg.Timestamp })
    if #Purchases > PURCHASES_MAX then
      table.remove(Purchases, 1)
    end
    return true
  end
  local paid = msg["X-Refund"] and close(msg)
  if paid then
    Spent = amount.text(amount.of(Spent) - paid)
    return true
  elseif msg.Sender == Owner then
    return true
  end
  return nil, "only the owner gives the bot its money"
end)

on_tick("dca.tick", function()
  if not Plan or Paused then
    return because(Plan and "it is paused" or "it has no plan")
  end
  if Waiting then
    Waiting.ticks = Waiting.ticks + 1
    if Waiting.ticks < PATIENCE then
      return because(("purchase %s waits for its %s"):format(Waiting.order, Waiting.stage))
    end
    because("purchase " .. Waiting.order .. " is not waited for any more")
    Waiting = nil
  end
  local each = amount.of(Plan.amount)
  if amount.of(Spent) + each > amount.of(Plan.budget) then
    return because(("%s of the budget of %s are spent"):format(Spent, Plan.budget))
  elseif till.held(Plan.pay) - till.owed(Plan.pay) < each then
    return because("it has less than the " .. Plan.amount .. " that a purchase costs")
  end
  Orders = Orders + 1
  because(("purchase %d: what does the pool give for %s?"):format(Orders, Plan.amount))
  Waiting = { order = tostring(Orders), stage = "quote", ticks = 0 }
  Send({ Target = Plan.pool, Action = "Quote", Token = Plan.pay, Quantity = Plan.amount, Order = Waiting.order })
end)

local function is_answer(action)
  return function(msg)
    return msg.Action == action and Plan ~= nil and msg.From == Plan.pool and Waiting ~= nil and Waiting.stage == "quote"
  end
end

Handlers.add("dca.quoted", is_answer("Quote-Result"), function(msg)
  local output = amount.positive(msg.Output)
  if msg.Order ~= Waiting.order or msg.Quantity ~= Plan.amount then
    return
  end
  local each = amount.of(Plan.amount)
  -- The owner may have paused it, or taken the money out, since it asked.
  if not output or Paused or output < amount.of(Plan.floor) or till.held(Plan.pay) - till.owed(Plan.pay) < each
    or amount.of(Spent) + each > amount.of(Plan.budget) then
    because(Paused and "it was paused since it asked" or "the pool gives too little, or the money is gone since it asked")
    Waiting = nil
    return
  end
  local least = amount.share_up(output, WHOLE - Plan.slippage, WHOLE)
  if least < amount.of(Plan.floor) then
    least = amount.of(Plan.floor)
  end
  because(("purchase %s: the pool would give %s, so it swaps for at least %s"):format(Waiting.order, amount.text(output), amount.text(least)))
  Waiting.stage, Waiting.ticks = "swap", 0
  Open[Waiting.order] = Plan.amount
  Spent = amount.text(amount.of(Spent) + each)
  till.pay(Plan.pay, Plan.pool, each, {
    ["X-Action"] = "Swap", ["X-Min-Output"] = amount.text(least), ["X-Order"] = Waiting.order,
  }, { kind = "swap", order = Waiting.order })
end)

Handlers.add("dca.not-quoted", is_answer("Quote-Error"), function(msg)
  because("the pool gives no quote: " .. tostring(msg.Error))
  Waiting = nil
end)

--- The token refused the transfer to the pool: it was not spent, and the owner looks at it.
till.on_failed("swap", function(payment, quantity)
  local order = payment.purpose.order
  Open[order] = nil
  if Waiting and Waiting.order == order then
    Waiting = nil
  end
  because("it pauses until its owner looks")
  Spent, Paused = amount.text(amount.of(Spent) - quantity), true
end)

Handlers.add("dca.status", "Status", function(msg)
  local doing = not Plan and "without a plan" or Paused and "paused" or "at work"
  msg.reply({ Action = "Status-Result", Data = doing, Spent = Spent, Bought = Bought, Orders = tostring(Orders) })
end)

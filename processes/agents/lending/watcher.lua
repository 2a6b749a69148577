--- A liquidation watcher: on every tick it asks a lending process who is under the threshold, and pays their debts with
--- what its owner gave it, for their collateral.
---
--- It spends no more than `Budget` and no more than `Each` on one payment, and never takes less than the collateral is
--- worth at the price it was told.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local on_tick = require("lib.ticks")
local json = require("json")

--- Ticks after which an answer is not waited for any more.
local PATIENCE = 5
--- Payments of one tick.
local PAYMENTS_MAX = 5

Plan = Plan or nil
Spent = Spent or "0"
Seized = Seized or "0"
Stopped = Stopped or false
--- `Open[order] = { account, paid = text, ticks }`: paid, and not answered.
Open = Open or {}
Orders = Orders or 0
Done = Done or 0

Handlers.add("watcher.configure", till.from_owner("Configure"), function(msg)
  local plan = {}
  for field, name in pairs({ lending = "Lending", collateral = "Collateral", debt = "Debt" }) do
    if not till.is_id(msg[name]) then
      return till.refuse(msg, "Configure", name .. " must be an id")
    end
    plan[field] = msg[name]
  end
  for field, name in pairs({ each = "Each", budget = "Budget" }) do
    local number, problem = amount.positive(msg[name], name)
    if not number then
      return till.refuse(msg, "Configure", problem)
    end
    plan[field] = amount.text(number)
  end
  if Plan and (Plan.lending ~= plan.lending or Plan.debt ~= plan.debt or Plan.collateral ~= plan.collateral) then
    return till.refuse(msg, "Configure", "what it watches is chosen: spawn another for another")
  end
  Plan, Stopped = plan, false
  msg.reply({ Action = "Configured" })
end)

on_tick("watcher.tick", function()
  if not Plan or Stopped then
    return because(Plan and "it is stopped" or "it has no plan")
  end
  because("who is under the threshold?")
  for _, order in ipairs(Utils.keys(Open)) do
    Open[order].ticks = Open[order].ticks + 1
    if Open[order].ticks >= PATIENCE then
      -- It stays spent. If it does come back, it is taken.
      Open[order] = nil
    end
  end
  Send({ Target = Plan.lending, Action = "Positions" })
end)

local function pay(under, price, lot)
  local quantity = amount.parse(under.debt)
  local left = amount.of(Plan.budget) - amount.of(Spent)
  if not quantity or not till.is_id(under.account) then
    return because("what is said of an account cannot be read")
  end
  for _, limit in ipairs({ amount.of(Plan.each), left, till.held(Plan.debt) - till.owed(Plan.debt) }) do
    quantity = amount.min(quantity, limit)
  end
  if quantity <= amount.zero then
    return because(("nothing is paid for %s: %s of the budget of %s are spent"):format(under.account, Spent, Plan.budget))
  end
  for _, open in pairs(Open) do
    if open.account == under.account then
      return because("what was paid for " .. under.account .. " is not answered yet")
    end
  end
  Orders = Orders + 1
  local order = tostring(Orders)
  because(("%s owes %s and is under: it pays %s"):format(under.account, under.debt, amount.text(quantity)))
  Open[order] = { account = under.account, paid = amount.text(quantity), ticks = 0 }
  Spent = amount.text(amount.of(Spent) + quantity)
  till.pay(Plan.debt, Plan.lending, quantity, {
    ["X-Action"] = "Liquidate", ["X-Account"] = under.account, ["X-Order"] = order,
    -- It may be less only if there is no more; then less is paid, too.
    ["X-Min-Output"] = amount.text(amount.min(amount.share(quantity, lot, price), amount.parse(under.collateral) or amount.zero)),
  }, { kind = "liquidate", order = order })
end

Handlers.add("watcher.positions", function(msg)
  return msg.Action == "Positions-Result" and Plan ~= nil and msg.From == Plan.lending
end, function(msg)
  local price, lot = amount.positive(msg.Price, "Price"), amount.positive(msg.Lot, "Lot")
  local data = msg.Data
  if type(data) == "string" then
    data = json.decode(data)
  end
  if Stopped or not price or not lot or type(data) ~= "table" or type(data.under) ~= "table" then
    return because(Stopped and "it is stopped" or "the answer cannot be read")
  elseif #data.under == 0 then
    return because("nobody is under the threshold at " .. amount.text(price))
  end
  for at = 1, math.min(#data.under, PAYMENTS_MAX) do
    pay(data.under[at], price, lot)
  end
end)

local function unspend(quantity)
  local spent = amount.of(Spent)
  Spent = amount.text(spent - amount.min(spent, quantity))
end

--- The token refused the transfer: it was not spent.
till.on_failed("liquidate", function(payment, quantity)
  Open[payment.purpose.order] = nil
  unspend(quantity)
end)

till.on_credit(function(token)
  return Plan ~= nil and (token == Plan.collateral or token == Plan.debt)
end, function(msg, quantity)
  local order = msg["X-Order"] or ""
  if msg.Sender == Plan.lending then
    if msg.From == Plan.debt and msg["X-Refund"] then
      unspend(quantity)
      if Open[order] and Open[order].paid == amount.text(quantity) then
        Open[order] = nil
      end
    elseif msg.From == Plan.collateral then
      Seized, Done = amount.text(amount.of(Seized) + quantity), Done + 1
      Open[order] = nil
    end
    return true
  elseif msg.Sender == Owner and msg.From == Plan.debt and not msg["X-Refund"] then
    return true
  end
  return nil, "only the owner gives the watcher its money"
end)

Handlers.add("watcher.stop", till.from_owner("Stop"), function(msg)
  Stopped = true
  msg.reply({ Action = "Stopped" })
end)

Handlers.add("watcher.withdraw", till.from_owner("Withdraw"), function(msg)
  if not Plan then
    return till.refuse(msg, "Withdraw", "it has no plan")
  end
  for _, token in ipairs({ Plan.collateral, Plan.debt }) do
    till.pay(token, Owner, till.held(token) - till.owed(token), { ["X-Action"] = "Withdrawn" })
  end
end)

Handlers.add("watcher.status", "Status", function(msg)
  msg.reply({ Action = "Status-Result", Spent = Spent, Seized = Seized, Done = tostring(Done), Data = Stopped and "stopped" or Plan and "at work" or "without a plan" })
end)

--- A notifier that is paid by subscription: it looks at accounts of a token's ledger and tells its subscribers what moved.
---
--- `X-Action: Subscribe` with the token that it is paid in, and `X-Watch` (an account; without it, one's own), begins a
--- subscription or adds to what it may cost. Each period costs `Price`, taken when it begins. When the rest does not pay
--- another one, it goes back, and nothing is told any more. `Unsubscribe` gives back what is not used.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local on_tick = require("lib.ticks")

local SUBSCRIBERS_MAX = 500
--- Accounts that are looked at on one tick; the others have their turn on the next.
local LOOKS_MAX = 50
--- Questions that are not answered yet; the oldest are forgotten.
local ASKED_MAX = 500

--- `{ token, price, period, ledger }`
Plan = Plan or nil
--- `Subscribers[account] = { watch, balance = text, paid_until }`
Subscribers = Subscribers or {}
Earned = Earned or "0"
--- `Known[account] = { balance = text, reference }`, and what was asked: `Asked[reference] = account`.
Known = Known or {}
Asked = Asked or {}
Turn = Turn or 0

Handlers.add("notifier.configure", till.from_owner("Configure"), function(msg)
  local price, problem = amount.positive(msg.Price, "Price")
  local period
  if Plan then
    problem = "it has its plan, and others have paid for it"
  elseif not till.is_id(msg.Token) or not till.is_id(msg.Ledger) then
    problem = "Token (what it is paid in) and Ledger (the token that it looks at) must be ids"
  end
  if not problem then
    period, problem = amount.setting(msg.Period, "Period (milliseconds)", 1000, 31536000000)
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Plan = { token = msg.Token, ledger = msg.Ledger, price = amount.text(price), period = period }
  msg.reply({ Action = "Configured" })
end)

local function stop(account, why)
  because("the subscription of " .. account .. " ends: " .. why)
  local one = Subscribers[account]
  Subscribers[account] = nil
  till.pay(Plan.token, account, amount.of(one.balance), { ["X-Refund"] = "true", ["X-Error"] = why })
  Send({ Target = account, Action = "Subscription-Ended", Reason = why })
end

--- Takes the price of the period that begins, or ends the subscription. What was not served is not paid afterwards.
local function charge(account, now)
  local one, price = Subscribers[account], amount.of(Plan.price)
  if now < one.paid_until then
    return true
  elseif amount.of(one.balance) < price then
    stop(account, "what was paid is used up")
    return false
  end
  one.balance = amount.text(amount.of(one.balance) - price)
  Earned = amount.text(amount.of(Earned) + price)
  one.paid_until = now + Plan.period
  return true
end

till.on_credit(function(token)
  return Plan ~= nil and token == Plan.token
end, function(msg, quantity)
  local one = Subscribers[msg.Sender]
  local watch = msg["X-Watch"] or one and one.watch or msg.Sender
  if msg["X-Action"] ~= "Subscribe" or msg["X-Refund"] then
    return nil, "X-Action must be Subscribe"
  elseif not till.is_id(watch) then
    return nil, "X-Watch must be an address or a process"
  elseif not one and #Utils.keys(Subscribers) >= SUBSCRIBERS_MAX then
    return nil, "there are too many subscribers"
  elseif not one and quantity < amount.of(Plan.price) then
    return nil, "a period costs " .. Plan.price
  end
  local sum, problem = amount.parse(amount.text(amount.of(one and one.balance) + quantity))
  if not sum then
    return nil, problem
  end
  Subscribers[msg.Sender] = { watch = watch, balance = amount.text(sum), paid_until = one and one.paid_until or 0 }
  charge(msg.Sender, tonumber(msg.Timestamp))
  Send({ Target = msg.Sender, Action = "Subscribed", Watch = watch, Until = tostring(Subscribers[msg.Sender].paid_until), Balance = Subscribers[msg.Sender].balance })
  return true
end)

Handlers.add("notifier.unsubscribe", "Unsubscribe", function(msg)
  if not Subscribers[msg.From] then
    return till.refuse(msg, "Unsubscribe", "you have no subscription")
  end
  stop(msg.From, "as you asked")
end)

Handlers.add("notifier.withdraw", till.from_owner("Withdraw"), function()
  local quantity = amount.of(Earned)
  Earned = "0"
  till.pay(Plan and Plan.token, Owner, quantity, { ["X-Action"] = "Earned" })
end)

--- The accounts that somebody pays to have looked at, in the order of their names.
local function watched()
  local set = {}
  for _, one in pairs(Subscribers) do
    set[one.watch] = true
  end
  for _, account in ipairs(Utils.keys(Known)) do
    Known[account] = set[account] and Known[account] or nil
  end
  local list = Utils.keys(set)
  table.sort(list)
  return list
end

local function forget_old()
  local references = Utils.keys(Asked)
  if #references > ASKED_MAX then
    table.sort(references, function(a, b)
      return tonumber(a) < tonumber(b)
    end)
    for at = 1, #references - ASKED_MAX do
      Asked[references[at]] = nil
    end
  end
end

on_tick("notifier.tick", function(msg)
  if not Plan then
    return because("it has no plan")
  end
  local now = tonumber(msg.Timestamp)
  for _, account in ipairs(Utils.keys(Subscribers)) do
    charge(account, now)
  end
  local list = watched()
  for n = 1, math.min(#list, LOOKS_MAX) do
    local account = list[(Turn + n - 1) % #list + 1]
    ao.send({ Target = Plan.ledger, Action = "Balance", Recipient = account })
    Asked[tostring(ao.reference)] = account
  end
  because(("it looks at %d of %d accounts"):format(math.min(#list, LOOKS_MAX), #list))
  Turn = #list > 0 and (Turn + math.min(#list, LOOKS_MAX)) % #list or 0
  forget_old()
end)

Handlers.add("notifier.seen", function(msg)
  return Plan ~= nil and msg.From == Plan.ledger and Asked[msg["X-Reference"] or ""] ~= nil
end, function(msg)
  local reference = tonumber(msg["X-Reference"])
  local account = Asked[msg["X-Reference"]]
  Asked[msg["X-Reference"]] = nil
  local last, balance = Known[account], msg.Balance
  -- An answer that was overtaken says nothing new.
  if type(balance) ~= "string" or #balance > 80 or last and last.reference > reference then
    return because("the answer about " .. account .. " cannot be read, or was overtaken")
  end
  Known[account] = { balance = balance, reference = reference }
  if not last or last.balance == balance then
    return because(account .. (last and " has what it had" or " is seen for the first time"))
  end
  because(("%s had %s and has %s"):format(account, last.balance, balance))
  local now = tonumber(msg.Timestamp)
  for _, subscriber in ipairs(Utils.keys(Subscribers)) do
    if Subscribers[subscriber].watch == account and charge(subscriber, now) then
      Send({ Target = subscriber, Action = "Notification", Account = account, Ledger = Plan.ledger, Before = last.balance, Now = balance })
    end
  end
end)

Handlers.add("notifier.status", "Status", function(msg)
  local one = Subscribers[msg.From]
  msg.reply({ Action = "Status-Result", Data = one and "subscribed" or "not subscribed", Balance = one and one.balance or "0", Until = tostring(one and one.paid_until or 0), Subscribers = tostring(#Utils.keys(Subscribers)) })
end)

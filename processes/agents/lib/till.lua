--- What a process has of tokens: counted as the tokens say that it came, and as it goes.
---
--- Only a `Credit-Notice` that comes from a trusted token process counts; what is not wanted goes back to its sender. A
--- payment is a `Transfer` that is on its way until its `Debit-Notice`; if the token refuses it, it is owed, and whoever
--- it is for may `Claim` it. Nothing is paid that is not held, so one account's money never pays another's.
local amount = require("lib.amount")
local because = require("lib.because")
require("lib.once")

local till = {}

--- Payments on their way. Beyond, they are owed until they are claimed.
local PAYMENTS_MAX = 1000

--- `held[token]`: amount as text, without what is on its way; `payments[reference]`; `owed[token][account]`: part of held.
Till = Till or { held = {}, payments = {}, count = 0, owed = {} }

local on_failed = {}

--- How much is held of a token.
function till.held(token)
  return amount.of(Till.held[token])
end

local function add(token, by)
  Till.held[token] = amount.text(till.held(token) + by)
end

--- How much of a token is owed to all.
function till.owed(token)
  local sum = amount.zero
  for _, quantity in pairs(Till.owed[token] or {}) do
    sum = sum + amount.of(quantity)
  end
  return sum
end

local function owe(token, account, quantity)
  local of = Till.owed[token] or {}
  of[account] = amount.text(amount.of(of[account]) + quantity)
  Till.owed[token] = of
end

--- Pays. `tags` go along (those that begin with `X-` reach the recipient); `purpose` is for whoever handles a failure.
---@param token string
---@param recipient string
---@param quantity table
---@param tags? table<string, string>
---@param purpose? table plain values; `kind` chooses what [`till.on_failed`] was given
function till.pay(token, recipient, quantity, tags, purpose)
  if amount.is_zero(quantity) then
    return
  end
  if quantity < amount.zero or till.held(token) < quantity then
    error(("cannot pay %s of %s: %s is held"):format(amount.text(quantity), token, amount.text(till.held(token))), 2)
  end
  if Till.count >= PAYMENTS_MAX then
    return owe(token, recipient, quantity)
  end
  local message = { Target = token, Action = "Transfer", Recipient = recipient, Quantity = amount.text(quantity) }
  for name, value in pairs(tags or {}) do
    message[name] = value
  end
  add(token, -quantity)
  ao.send(message)
  local reference = tostring(ao.reference)
  Till.payments[reference] = { token = token, recipient = recipient, quantity = message.Quantity, purpose = purpose }
  Till.count = Till.count + 1
end

--- Pays back what came with `msg`. A refund that is not wanted is not refunded, or two processes would send it to and
--- fro for ever: its sender may claim it.
function till.refund(msg, quantity, problem)
  if msg["X-Refund"] then
    because("a refund that is not wanted is owed: " .. problem)
    return owe(msg.From, msg.Sender, quantity)
  end
  because("it goes back: " .. problem)
  till.pay(msg.From, msg.Sender, quantity, { ["X-Refund"] = "true", ["X-Error"] = problem, ["X-Order"] = msg["X-Order"] })
end

--- What is done when the token refuses a payment of that kind, instead of owing it: it is held again.
function till.on_failed(kind, run)
  on_failed[kind] = run
end

--- Takes what comes from trusted tokens. `take(msg, quantity)` says true, or nil and why it goes back. It looks before it
--- changes anything.
---@param trusted fun(token: string): boolean
---@param take fun(msg: table, quantity: table): boolean|nil, string|nil
function till.on_credit(trusted, take)
  Handlers.add("till.credit", function(msg)
    return msg.Action == "Credit-Notice" and trusted(msg.From)
  end, function(msg)
    local digits = type(msg.Quantity) == "string" and msg.Quantity:match("^%d+$")
    if not digits or #digits > 76 or type(msg.Sender) ~= "string" then
      error("the token " .. msg.From .. " says no amount or no sender")
    end
    local all = amount.of(digits)
    if amount.is_zero(all) then
      return
    end
    add(msg.From, all)
    local quantity, problem = amount.positive(digits)
    local taken
    if quantity then
      taken, problem = take(msg, quantity)
    end
    if not taken then
      till.refund(msg, all, problem or "not wanted")
    end
  end)
end

--- The payment that a token's answer is about.
local function finished(msg)
  local reference = msg["X-Reference"]
  local payment = type(reference) == "string" and Till.payments[reference] or nil
  if payment and payment.token == msg.From then
    Till.payments[reference], Till.count = nil, Till.count - 1
    return payment
  end
end

local function is_known(action)
  return function(msg)
    local payment = msg.Action == action and Till.payments[msg["X-Reference"] or ""]
    return payment and payment.token == msg.From
  end
end

Handlers.add("till.debit", is_known("Debit-Notice"), finished)

Handlers.add("till.refused", is_known("Transfer-Error"), function(msg)
  local payment = finished(msg)
  local quantity = amount.of(payment.quantity)
  add(payment.token, quantity)
  because("the token refused a payment of " .. payment.quantity)
  local run = payment.purpose and on_failed[payment.purpose.kind]
  if run then
    run(payment, quantity)
  else
    owe(payment.token, payment.recipient, quantity)
  end
end)

--- What a token refused to pay is asked for again by whom it is for.
Handlers.add("till.claim", "Claim", function(msg)
  local of = Till.owed[msg.Token or ""] or {}
  local quantity = amount.of(of[msg.From])
  if amount.is_zero(quantity) then
    return msg.reply({ Action = "Claim-Error", Error = "nothing of that Token is owed to you" })
  end
  of[msg.From] = nil
  till.pay(msg.Token, msg.From, quantity, { ["X-Claim"] = "true" })
end)

--- Says no.
function till.refuse(msg, action, problem)
  because(action .. " is refused: " .. tostring(problem))
  msg.reply({ Action = action .. "-Error", ["Message-Id"] = msg.Id, Error = problem })
end

--- Matches messages of the owner with that action.
function till.from_owner(action)
  return function(msg)
    return msg.Action == action and msg.From == Owner
  end
end

--- An id or an address: 43 characters of base64url.
function till.is_id(text)
  return type(text) == "string" and #text == 43 and not text:find("[^%w_-]")
end

return till

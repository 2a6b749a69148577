--- A prediction market: complete sets of shares for a token, one of each outcome; who holds the outcome that enough
--- feeders name gets the token back.
---
--- `X-Action: Mint` with the token makes as many shares of every outcome. `Merge` makes the token of complete sets again,
--- `Move` gives shares to others, `Redeem` pays after it is resolved. Outcomes count only if a feeder said them after
--- `Closes`. If the feeders say `invalid`, or do not agree until `Invalid-After`, every share is worth an equal part.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local feeds = require("lib.feeds")
local on_tick = require("lib.ticks")

local OUTCOMES_MAX = 8
--- Accounts with shares of one outcome.
local HOLDERS_MAX = 10000
local INVALID = "invalid"
local FEED = "outcome"

--- `{ token, question, outcomes = list, closes, invalid_after }`
Market = Market or nil
--- `Shares[outcome][account] = text`
Shares = Shares or {}
--- Complete sets that exist: what is held of the token for them.
Sets = Sets or "0"
Resolved = Resolved or nil

Handlers.add("market.configure", till.from_owner("Configure"), function(msg)
  local market, problem = { token = msg.Token, question = msg.Question, outcomes = {} }, nil
  local seen, names = { [INVALID] = true }, 0
  for name in tostring(msg.Outcomes or "yes,no"):gmatch("[^,]+") do
    names = names + 1
    if seen[name] or not name:find("^[%w_-]+$") or #name > 32 then
      problem = "Outcomes are different names of up to 32 letters, digits, - and _, none of them " .. INVALID
    end
    seen[name] = true
    market.outcomes[names] = name
  end
  if Market then
    problem = "the market exists already"
  elseif not till.is_id(msg.Token) or type(msg.Question) ~= "string" or #msg.Question > 1000 then
    problem = "Token must be the id of a token, and Question a text of up to 1,000 bytes"
  elseif names < 2 or names > OUTCOMES_MAX then
    problem = "there must be from 2 to " .. OUTCOMES_MAX .. " Outcomes"
  end
  for _, one in ipairs({ { "closes", "Closes" }, { "invalid_after", "Invalid-After" } }) do
    if not problem then
      market[one[1]], problem = amount.setting(msg[one[2]], one[2] .. " (milliseconds since 1970)", tonumber(msg.Timestamp), 999999999999999)
    end
  end
  if not problem and market.invalid_after <= market.closes then
    problem = "Invalid-After must be later than Closes"
  end
  local quorum
  if not problem then
    quorum, problem = amount.setting(msg.Quorum, "Quorum", 1, 32)
  end
  if quorum then
    local declared
    declared, problem = feeds.declare(FEED, { feeders = feeds.list(msg.Feeders), quorum = quorum, kind = "outcome" })
    problem = not declared and problem or nil
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Market = market
  for _, name in ipairs(market.outcomes) do
    Shares[name] = Shares[name] or {}
  end
  msg.reply({ Action = "Configured" })
end)

local function has(outcome, account)
  return amount.of(Shares[outcome][account])
end

local function set(outcome, account, quantity)
  Shares[outcome][account] = not amount.is_zero(quantity) and amount.text(quantity) or nil
end

--- Looks whether it is decided. True if it is.
local function resolve(now)
  if Resolved or not Market or now < Market.closes then
    because(Resolved and "it is resolved: " .. Resolved or Market and "it is not closed yet" or "there is no market")
    return Resolved ~= nil
  end
  local said, problem = feeds.outcome(FEED, now, Market.closes)
  if said and (Shares[said] or said == INVALID) then
    Resolved = said
  elseif now >= Market.invalid_after then
    Resolved = INVALID
  end
  because(Resolved and "it resolves: " .. Resolved or "it stays open: " .. (problem or said .. " is none of its outcomes"))
  return Resolved ~= nil
end

feeds.on_heard(function(_, msg)
  resolve(tonumber(msg.Timestamp))
end)

on_tick("market.tick", function(msg)
  resolve(tonumber(msg.Timestamp))
end)

Handlers.add("market.resolve", "Resolve", function(msg)
  resolve(tonumber(msg.Timestamp))
  msg.reply({ Action = "Resolve-Result", Outcome = Resolved or "open" })
end)

till.on_credit(function(token)
  return Market ~= nil and token == Market.token
end, function(msg, quantity)
  if msg["X-Action"] ~= "Mint" or msg["X-Refund"] then
    return nil, "X-Action must be Mint"
  elseif tonumber(msg.Timestamp) >= Market.closes then
    return nil, "the market is closed"
  end
  local sets, problem = amount.parse(amount.text(amount.of(Sets) + quantity))
  if not sets then
    return nil, problem
  end
  for _, outcome in ipairs(Market.outcomes) do
    if not Shares[outcome][msg.Sender] and #Utils.keys(Shares[outcome]) >= HOLDERS_MAX then
      return nil, "too many hold shares"
    end
  end
  Sets = amount.text(sets)
  for _, outcome in ipairs(Market.outcomes) do
    set(outcome, msg.Sender, has(outcome, msg.Sender) + quantity)
  end
  Send({ Target = msg.Sender, Action = "Minted", Quantity = amount.text(quantity), Order = msg["X-Order"] })
  return true
end)

local function pay_out(account, quantity, why)
  Sets = amount.text(amount.of(Sets) - quantity)
  till.pay(Market.token, account, quantity, { ["X-Action"] = why })
end

Handlers.add("market.merge", "Merge", function(msg)
  local quantity, problem = amount.positive(msg.Quantity)
  if not Market or Resolved then
    problem = "there is nothing to merge: Redeem, if it is resolved"
  elseif quantity then
    for _, outcome in ipairs(Market.outcomes) do
      if has(outcome, msg.From) < quantity then
        problem = "you have fewer shares of " .. outcome
      end
    end
  end
  if problem then
    return till.refuse(msg, "Merge", problem)
  end
  for _, outcome in ipairs(Market.outcomes) do
    set(outcome, msg.From, has(outcome, msg.From) - quantity)
  end
  pay_out(msg.From, quantity, "Merged")
end)

Handlers.add("market.move", "Move", function(msg)
  local quantity, problem = amount.positive(msg.Quantity)
  local outcome, recipient = msg.Outcome or "", msg.Recipient
  if not Shares[outcome] then
    problem = "there is no such Outcome"
  elseif not till.is_id(recipient) then
    problem = "Recipient must be an address or a process"
  elseif quantity and has(outcome, msg.From) < quantity then
    problem = "you have fewer shares of " .. outcome
  elseif not Shares[outcome][recipient] and #Utils.keys(Shares[outcome]) >= HOLDERS_MAX then
    problem = "too many hold shares"
  end
  if problem then
    return till.refuse(msg, "Move", problem)
  end
  -- The sender's first: who moves to themselves has in the end what they had.
  set(outcome, msg.From, has(outcome, msg.From) - quantity)
  set(outcome, recipient, has(outcome, recipient) + quantity)
  msg.reply({ Action = "Moved", Outcome = outcome, Quantity = amount.text(quantity), Recipient = recipient })
  Send({ Target = recipient, Action = "Shares-Notice", Outcome = outcome, Quantity = amount.text(quantity), Sender = msg.From })
end)

Handlers.add("market.redeem", "Redeem", function(msg)
  if not resolve(tonumber(msg.Timestamp)) then
    return till.refuse(msg, "Redeem", "it is not resolved yet")
  end
  local all, won = amount.zero, amount.zero
  for _, outcome in ipairs(Market.outcomes) do
    all = all + has(outcome, msg.From)
    won = outcome == Resolved and has(outcome, msg.From) or won
  end
  local pays = Resolved == INVALID and all // #Market.outcomes or won
  for _, outcome in ipairs(Market.outcomes) do
    set(outcome, msg.From, amount.zero)
  end
  pay_out(msg.From, pays, "Redeemed")
  msg.reply({ Action = "Redeemed", Outcome = Resolved, Quantity = amount.text(pays) })
end)

Handlers.add("market.shares", "Shares", function(msg)
  local own = {}
  for _, outcome in ipairs(Market and Market.outcomes or {}) do
    own[outcome] = amount.text(has(outcome, msg.Account or msg.From))
  end
  msg.reply({ Action = "Shares-Result", Data = { shares = own } })
end)

Handlers.add("market.info", "Info", function(msg)
  msg.reply({ Action = "Info-Result", Outcome = Resolved or "open", Sets = Sets, Data = { market = Market } })
end)

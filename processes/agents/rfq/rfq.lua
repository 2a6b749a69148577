--- A solver that answers requests for quotes: what it offers holds until it expires, for whoever asked.
---
--- `Request-Quote` with `Side` (`buy` or `sell`, as the asker sees it) and `Lots` is answered with a message `Quote`: its
--- terms are in the log, signed. To accept, the asker transfers what `Take` says with `X-Action: Accept` and `X-Quote`.
--- What a quote promises is set aside; what comes late, from others or too small goes back.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local feeds = require("lib.feeds")
local on_tick = require("lib.ticks")

--- Quotes that hold at the same time, of all and of one account.
local QUOTES_MAX = 200
local OWN_MAX = 3
local WHOLE = amount.of("10000")
--- Of ten thousand: the most of what is free that one quote may set aside.
local PART_MAX = amount.of("2500")

Plan = Plan or nil
--- `Quotes[id] = { id, account, give, give_quantity, take, take_quantity, expires }`
Quotes = Quotes or {}
NextQuote = NextQuote or 1
Paused = Paused or false
Filled = Filled or 0

Handlers.add("rfq.configure", till.from_owner("Configure"), function(msg)
  local plan, problem = { feed = msg["Feed-Name"] or "price", base = msg.Base, quote = msg.Quote }, nil
  if not till.is_id(msg.Base) or not till.is_id(msg.Quote) or msg.Base == msg.Quote then
    return till.refuse(msg, "Configure", "Base and Quote must be the ids of two tokens")
  elseif Plan and (Plan.base ~= plan.base or Plan.quote ~= plan.quote) then
    return till.refuse(msg, "Configure", "its pair is chosen: spawn another for another pair")
  end
  local lot
  lot, problem = amount.positive(msg.Lot, "Lot")
  if lot then
    plan.lot = amount.text(lot)
    plan.spread, problem = amount.setting(msg.Spread or "50", "Spread (of ten thousand)", 0, 5000)
  end
  if plan.spread then
    plan.life, problem = amount.setting(msg.Life or "60000", "Life (milliseconds)", 1000, 3600000)
  end
  if plan.life then
    local declared
    declared, problem = feeds.declare_from(msg, plan.feed)
    problem = not declared and problem or nil
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Plan = plan
  msg.reply({ Action = "Configured" })
end)

for action, paused in pairs({ Pause = true, Resume = false }) do
  Handlers.add("rfq." .. action:lower(), till.from_owner(action), function(msg)
    Paused = paused
    msg.reply({ Action = action .. "d" })
  end)
end

--- Forgets what has expired. What it set aside is free again.
local function sweep(now)
  for _, id in ipairs(Utils.keys(Quotes)) do
    if Quotes[id].expires < now then
      because("quote " .. id .. " has expired")
      Quotes[id] = nil
    end
  end
end

--- What is neither owed nor promised.
local function free(token)
  local left = till.held(token) - till.owed(token)
  for _, quote in pairs(Quotes) do
    if quote.give == token then
      left = left - amount.of(quote.give_quantity)
    end
  end
  return left
end

--- Terms for so many lots, or nil and why not.
local function terms(msg, now)
  local side = msg.Side
  local lots, problem = amount.positive(msg.Lots, "Lots")
  if Paused or not Plan then
    return nil, "no quotes are made now"
  elseif side ~= "buy" and side ~= "sell" then
    return nil, "Side must be buy or sell"
  elseif not lots then
    return nil, problem
  end
  local price
  price, problem = feeds.number(Plan.feed, now)
  if not price then
    return nil, problem
  end
  local base = lots * amount.of(Plan.lot)
  -- Rounded for the solver: it asks for more, and gives less.
  price = side == "buy" and amount.share_up(price, WHOLE + Plan.spread, WHOLE) or amount.share(price, WHOLE - Plan.spread, WHOLE)
  if not amount.parse(amount.text(base)) or not amount.parse(amount.text(price)) then
    return nil, "so much cannot be quoted"
  end
  local quote = lots * price
  if amount.is_zero(quote) or not amount.parse(amount.text(quote)) then
    return nil, "so much cannot be quoted"
  end
  local out = side == "buy" and { give = Plan.base, take = Plan.quote } or { give = Plan.quote, take = Plan.base }
  local give, take = side == "buy" and base or quote, side == "buy" and quote or base
  if give > amount.share(free(out.give), PART_MAX, WHOLE) then
    return nil, "that is more than one quote may be about now"
  end
  out.give_quantity, out.take_quantity = amount.text(give), amount.text(take)
  return out
end

Handlers.add("rfq.request", "Request-Quote", function(msg)
  local now = tonumber(msg.Timestamp)
  sweep(now)
  local count, own = 0, 0
  for _, quote in pairs(Quotes) do
    count = count + 1
    own = own + (quote.account == msg.From and 1 or 0)
  end
  if count >= QUOTES_MAX or own >= OWN_MAX then
    return till.refuse(msg, "Quote", own >= OWN_MAX and "accept one of your quotes, or wait until it expires" or "too many quotes hold")
  end
  local quote, problem = terms(msg, now)
  if not quote then
    return till.refuse(msg, "Quote", problem)
  end
  quote.id, quote.account, quote.expires = tostring(NextQuote), msg.From, now + Plan.life
  NextQuote = NextQuote + 1
  Quotes[quote.id] = quote
  because(("quote %s: %s for %s"):format(quote.id, quote.give_quantity, quote.take_quantity))
  msg.reply({
    Action = "Quote", ["Quote-Id"] = quote.id, Expires = tostring(quote.expires),
    Give = quote.give, ["Give-Quantity"] = quote.give_quantity, Take = quote.take, ["Take-Quantity"] = quote.take_quantity,
  })
end)

till.on_credit(function(token)
  return Plan ~= nil and (token == Plan.base or token == Plan.quote)
end, function(msg, quantity)
  if msg["X-Action"] ~= "Accept" then
    if msg.Sender == Owner and not msg["X-Refund"] then
      return true
    end
    return nil, "X-Action must be Accept"
  end
  local quote = Quotes[msg["X-Quote"] or ""]
  if not quote or quote.account ~= msg.Sender then
    return nil, "there is no such quote of yours"
  elseif quote.expires < tonumber(msg.Timestamp) then
    return nil, "the quote has expired"
  elseif quote.take ~= msg.From then
    return nil, "that is not the token of the quote"
  end
  local take = amount.of(quote.take_quantity)
  if quantity < take then
    return nil, "the quote is about " .. quote.take_quantity
  end
  because("quote " .. quote.id .. " is accepted")
  Quotes[quote.id] = nil
  Filled = Filled + 1
  till.pay(quote.give, msg.Sender, amount.of(quote.give_quantity), { ["X-Action"] = "Filled", ["X-Quote"] = quote.id })
  till.pay(msg.From, msg.Sender, quantity - take, { ["X-Refund"] = "true", ["X-Quote"] = quote.id })
  return true
end)

on_tick("rfq.tick", function(msg)
  sweep(tonumber(msg.Timestamp))
  because(#Utils.keys(Quotes) .. " quotes hold")
end)

Handlers.add("rfq.withdraw", till.from_owner("Withdraw"), function(msg)
  if not Plan or (msg.Token ~= Plan.base and msg.Token ~= Plan.quote) then
    return till.refuse(msg, "Withdraw", "Token must be Base or Quote")
  end
  sweep(tonumber(msg.Timestamp))
  till.pay(msg.Token, Owner, free(msg.Token), { ["X-Action"] = "Withdrawn" })
end)

Handlers.add("rfq.status", "Status", function(msg)
  local doing = not Plan and "without a plan" or Paused and "paused" or "at work"
  msg.reply({ Action = "Status-Result", Data = doing, Quotes = tostring(#Utils.keys(Quotes)), Filled = tostring(Filled) })
end)

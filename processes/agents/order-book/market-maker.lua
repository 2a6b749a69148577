--- A market maker: on every tick it takes its orders out of an order book and offers to buy a little below the price of a
--- feed, and to sell a little above.
---
--- Its owner configures it and transfers to it what it may trade with: it has nothing else. It buys no more than
--- `Most-Base` and stops when what it has is worth less than `Floor`, or when the feed is silent.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local feeds = require("lib.feeds")
local on_tick = require("lib.ticks")

--- Ticks after which an answer of the book is not waited for any more.
local PATIENCE = 3
local WHOLE = amount.of("10000")

Plan = Plan or nil
Stopped = Stopped or nil
--- `{ label, refunds, came, ticks }` while orders are being taken out.
Cancelling = Cancelling or nil
Rounds = Rounds or 0
--- Notices of trades.
Fills = Fills or 0

local function read(msg)
  local plan, problem = { feed = msg["Feed-Name"] or "price" }, nil
  for field, name in pairs({ book = "Book", base = "Base", quote = "Quote" }) do
    if not till.is_id(msg[name]) then
      return nil, name .. " must be an id"
    end
    plan[field] = msg[name]
  end
  for field, name in pairs({ lot = "Lot", lots = "Lots", most = "Most-Base" }) do
    local number
    number, problem = amount.positive(msg[name], name)
    if not number then
      return nil, problem
    end
    plan[field] = amount.text(number)
  end
  local floor
  floor, problem = amount.parse(msg.Floor or "0", "Floor")
  if not floor then
    return nil, problem
  end
  plan.floor = amount.text(floor)
  plan.spread, problem = amount.setting(msg.Spread or "50", "Spread (of ten thousand)", 1, 5000)
  if not plan.spread then
    return nil, problem
  end
  local declared
  declared, problem = feeds.declare_from(msg, plan.feed)
  return declared and plan or nil, problem
end

Handlers.add("maker.configure", till.from_owner("Configure"), function(msg)
  local plan, problem = nil, "its pair is chosen: withdraw, and spawn another for another pair"
  if not Plan or (msg.Base == Plan.base and msg.Quote == Plan.quote and msg.Book == Plan.book) then
    plan, problem = read(msg)
  end
  if not plan then
    return till.refuse(msg, "Configure", problem)
  end
  Plan, Stopped = plan, nil
  msg.reply({ Action = "Configured" })
end)

local function free(token)
  return till.held(token) - till.owed(token)
end

local function place(now)
  Cancelling = nil
  local price, problem = feeds.number(Plan.feed, now)
  if not price or amount.is_zero(price) then
    return because("no offers: " .. (problem or "the price is 0"))
  end
  local base, quote, lot, lots = free(Plan.base), free(Plan.quote), amount.of(Plan.lot), amount.of(Plan.lots)
  -- The feed's price is that of a lot. Nothing is at the book now.
  local worth = quote + amount.share(base, price, lot)
  if worth < amount.of(Plan.floor) then
    Stopped = "what it has is worth " .. amount.text(worth) .. ", less than its Floor"
    return because("it stops: " .. Stopped)
  end
  local bid = amount.share(price, WHOLE - Plan.spread, WHOLE)
  local ask = amount.share_up(price, WHOLE + Plan.spread, WHOLE)
  Rounds = Rounds + 1
  local room = amount.of(Plan.most) - base
  local buy = amount.is_zero(bid) and amount.zero or amount.min(lots, quote // bid)
  buy = room > amount.zero and amount.min(buy, room // lot) or amount.zero
  local sell = amount.min(lots, base // lot)
  because(("the price is %s: it buys %s lots at %s and sells %s at %s"):format(
    amount.text(price), amount.text(buy), amount.text(bid), amount.text(sell), amount.text(ask)))
  local function offer(side, token, quantity, at)
    till.pay(token, Plan.book, quantity, {
      ["X-Action"] = "Order", ["X-Side"] = side, ["X-Price"] = amount.text(at), ["X-Order"] = "round-" .. Rounds,
    }, { kind = "order" })
  end
  offer("buy", Plan.quote, buy * bid, bid)
  offer("sell", Plan.base, sell * lot, ask)
end

--- The token refused the order: it is still here, and the next tick tries again.
till.on_failed("order", function() end)

--- New offers when the old ones are back, all of them.
local function arrived(now)
  if Cancelling and Cancelling.refunds and Cancelling.came >= Cancelling.refunds and not Stopped then
    place(now)
  end
end

till.on_credit(function(token)
  return Plan ~= nil and (token == Plan.base or token == Plan.quote)
end, function(msg)
  if msg.Sender == Plan.book then
    Fills = Fills + (msg["X-Action"] == "Filled" and 1 or 0)
    if Cancelling and msg["X-Cancel"] == Cancelling.label then
      Cancelling.came = Cancelling.came + 1
      arrived(msg.Timestamp)
    end
    return true
  elseif msg.Sender == Owner and not msg["X-Refund"] then
    return true
  end
  return nil, "only the owner gives the maker its money"
end)

on_tick("maker.tick", function(msg)
  if not Plan then
    return because("it has no plan")
  end
  if Cancelling then
    Cancelling.ticks = Cancelling.ticks + 1
    if Cancelling.ticks < PATIENCE then
      return because("it waits for its orders to come back from the book")
    end
  end
  because("its orders are taken out of the book before it makes new ones")
  Rounds = Rounds + 1
  Cancelling = { label = "cancel-" .. Rounds, came = 0, ticks = 0 }
  Send({ Target = Plan.book, Action = "Cancel-All", Label = Cancelling.label })
end)

Handlers.add("maker.cancelled", function(msg)
  return msg.Action == "Cancelled-All" and Plan ~= nil and msg.From == Plan.book
end, function(msg)
  if not Cancelling or msg.Label ~= Cancelling.label or Cancelling.refunds then
    return
  end
  Cancelling.refunds = amount.setting(msg.Refunds, "Refunds", 0, 2) or 0
  arrived(msg.Timestamp)
end)

Handlers.add("maker.stop", till.from_owner("Stop"), function(msg)
  Stopped = "its owner stopped it"
  Rounds = Rounds + 1
  Cancelling = { label = "cancel-" .. Rounds, came = 0, ticks = 0 }
  Send({ Target = Plan and Plan.book or ao.id, Action = "Cancel-All", Label = Cancelling.label })
  msg.reply({ Action = "Stopped" })
end)

Handlers.add("maker.withdraw", till.from_owner("Withdraw"), function(msg)
  if not Plan then
    return till.refuse(msg, "Withdraw", "it has no plan")
  end
  for _, token in ipairs({ Plan.base, Plan.quote }) do
    till.pay(token, Owner, free(token), { ["X-Action"] = "Withdrawn" })
  end
end)

Handlers.add("maker.status", "Status", function(msg)
  msg.reply({ Action = "Status-Result", Data = Stopped or (Plan and "at work") or "without a plan", Rounds = tostring(Rounds), Fills = tostring(Fills) })
end)

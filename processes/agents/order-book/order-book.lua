--- An order book for one pair: who comes first at the best price trades first.
---
--- A lot is `Lot` of the base token, and a price is an amount of the quote token for a lot: whole lots at whole prices have
--- no rounding. An order is a transfer with `X-Action: Order`, `X-Side` and `X-Price`: base to sell, quote to buy. As many
--- lots as it pays for are ordered; what is over goes back. `X-Type`: `limit` (what does not trade stays), `ioc` (it goes
--- back), `post` (all goes back if any would trade). Trades are at the price of the order that was there.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")

--- Orders of a side, and of an account on a side.
local ORDERS_MAX = 1000
local OWN_MAX = 100
--- Orders that one order may trade with; what is left of it then goes back.
local FILLS_MAX = 50
--- Trades that are remembered.
local TRADES_MAX = 100
--- Levels that Book shows of a side.
local LEVELS_MAX = 50
local WHOLE = amount.of("10000")

--- `{ base, quote, lot = text, fee = of ten thousand }`: whoever takes pays the fee, out of what they get.
Market = Market or nil
--- `Orders[id] = { id, account, side, price = text, lots = text, time }`; the sides are lists of ids, best first.
Orders = Orders or {}
Sides = Sides or { buy = {}, sell = {} }
NextOrder = NextOrder or 1
Trades = Trades or {}
Fees = Fees or { base = "0", quote = "0" }

local function opposite(side)
  return side == "buy" and "sell" or "buy"
end

Handlers.add("book.configure", till.from_owner("Configure"), function(msg)
  local lot, problem = amount.positive(msg.Lot or "1", "Lot")
  local fee
  if lot then
    fee, problem = amount.setting(msg.Fee or "0", "Fee (of ten thousand)", 0, 1000)
  end
  if Market then
    problem = "the pair is chosen already"
  elseif not till.is_id(msg.Base) or not till.is_id(msg.Quote) or msg.Base == msg.Quote then
    problem = "Base and Quote must be the ids of two tokens"
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Market = { base = msg.Base, quote = msg.Quote, lot = amount.text(lot), fee = fee }
  msg.reply({ Action = "Configured" })
end)

--- What an order has in the book: base to sell, or quote to buy.
local function escrow(order)
  local by = order.side == "sell" and Market.lot or order.price
  return amount.of(order.lots) * amount.of(by)
end

local function token_of(side)
  return side == "sell" and Market.base or Market.quote
end

--- Does a price come before another on that side?
local function better(side, a, b)
  if side == "buy" then
    return a > b
  end
  return a < b
end

--- After all that are as good: who came first is first.
local function insert(order)
  local list, price = Sides[order.side], amount.of(order.price)
  local low, high = 1, #list + 1
  while low < high do
    local middle = (low + high) // 2
    if better(order.side, price, amount.of(Orders[list[middle]].price)) then
      high = middle
    else
      low = middle + 1
    end
  end
  table.insert(list, low, order.id)
  Orders[order.id] = order
end

local function remove(order)
  for at, id in ipairs(Sides[order.side]) do
    if id == order.id then
      table.remove(Sides[order.side], at)
      break
    end
  end
  Orders[order.id] = nil
end

local function count_of(account, side)
  local count = 0
  for _, id in ipairs(Sides[side]) do
    count = count + (Orders[id].account == account and 1 or 0)
  end
  return count
end

local function crosses(side, price, resting)
  local at = amount.of(resting.price)
  return side == "buy" and price >= at or side == "sell" and price <= at
end

local function note(price, lots, taker, time)
  table.insert(Trades, { price = price, lots = amount.text(lots), side = taker, time = time })
  if #Trades > TRADES_MAX then
    table.remove(Trades, 1)
  end
end

--- Trades what can be traded now. Gives what is left in lots, what came of it, and what of the quote was paid.
local function match(msg, side, price, lots)
  local list, fills = Sides[opposite(side)], 0
  local got, paid, lot = amount.zero, amount.zero, amount.of(Market.lot)
  while not amount.is_zero(lots) and list[1] and fills < FILLS_MAX do
    local resting = Orders[list[1]]
    if not crosses(side, price, resting) then
      break
    end
    fills = fills + 1
    if resting.account == msg.Sender then
      -- Nobody trades with themselves: the older order goes, and its escrow goes back.
      local back = escrow(resting)
      remove(resting)
      till.pay(token_of(resting.side), resting.account, back, { ["X-Refund"] = "true", ["X-Order-Id"] = resting.id, ["X-Error"] = "an order of yours met it" })
    else
      local now = amount.min(lots, amount.of(resting.lots))
      local base, quote = now * lot, now * amount.of(resting.price)
      lots = lots - now
      resting.lots = amount.text(amount.of(resting.lots) - now)
      if resting.lots == "0" then
        remove(resting)
      end
      note(resting.price, now, side, msg.Timestamp)
      local tags = { ["X-Action"] = "Filled", ["X-Order-Id"] = resting.id, ["X-Order"] = resting.label, ["X-Lots"] = amount.text(now) }
      if side == "buy" then
        got, paid = got + base, paid + quote
        till.pay(Market.quote, resting.account, quote, tags)
      else
        got, paid = got + quote, paid + base
        till.pay(Market.base, resting.account, base, tags)
      end
    end
  end
  return lots, got, paid
end

local function order(msg, side, quantity)
  local price, problem = amount.positive(msg["X-Price"], "X-Price")
  local kind = msg["X-Type"] or "limit"
  if not price then
    return nil, problem
  elseif kind ~= "limit" and kind ~= "ioc" and kind ~= "post" then
    return nil, "X-Type must be limit, ioc or post"
  end
  local lot = amount.of(Market.lot)
  local each = side == "sell" and lot or price
  local lots = quantity // each
  if amount.is_zero(lots) then
    return nil, "it does not pay for one lot"
  elseif not amount.parse(amount.text(lots * lot)) or not amount.parse(amount.text(lots * price)) then
    return nil, "the order is too large"
  end
  local best = Orders[Sides[opposite(side)][1]]
  if kind == "post" and best and crosses(side, price, best) then
    return nil, "it would trade at once"
  elseif kind ~= "ioc" and #Sides[side] >= ORDERS_MAX then
    return nil, "the book is full"
  elseif kind ~= "ioc" and count_of(msg.Sender, side) >= OWN_MAX then
    return nil, "you have too many orders"
  end
  local left, got, paid = match(msg, side, price, lots)
  local id = "none"
  local ahead = Orders[Sides[opposite(side)][1]]
  -- What still crosses was not reached within the bound: to stay would put it on the wrong side.
  if kind ~= "ioc" and not amount.is_zero(left) and not (ahead and crosses(side, price, ahead)) then
    id = tostring(NextOrder)
    NextOrder = NextOrder + 1
    insert({ id = id, account = msg.Sender, side = side, price = amount.text(price), lots = amount.text(left), time = msg.Timestamp, label = msg["X-Order"] })
  end
  because(("%s of %s lots at %s: %s filled, %s"):format(
    side, amount.text(lots), amount.text(price), amount.text(lots - left), id == "none" and "nothing stays" or "the rest stays as order " .. id))
  local stays = id ~= "none" and left * each or amount.zero
  local bought = side == "buy" and Market.base or Market.quote
  -- Rounded up: what cannot be divided is the market's.
  local fee = amount.share_up(got, amount.of(tostring(Market.fee)), WHOLE)
  local purse = side == "buy" and "base" or "quote"
  Fees[purse] = amount.text(amount.of(Fees[purse]) + fee)
  local tags = { ["X-Action"] = "Filled", ["X-Order-Id"] = id, ["X-Order"] = msg["X-Order"], ["X-Lots"] = amount.text(lots - left) }
  till.pay(bought, msg.Sender, got - fee, tags)
  till.pay(msg.From, msg.Sender, quantity - paid - stays, { ["X-Refund"] = "true", ["X-Order-Id"] = id, ["X-Order"] = msg["X-Order"] })
  Send({ Target = msg.Sender, Action = "Order-Result", ["Order-Id"] = id, Order = msg["X-Order"], Lots = amount.text(lots), Filled = amount.text(lots - left), Side = side })
  return true
end

till.on_credit(function(token)
  return Market ~= nil and (token == Market.base or token == Market.quote)
end, function(msg, quantity)
  local side = msg.From == Market.base and "sell" or "buy"
  if msg["X-Action"] ~= "Order" or msg["X-Refund"] then
    return nil, "X-Action must be Order"
  elseif msg["X-Side"] ~= side then
    return nil, "X-Side must be sell with the base token, and buy with the quote token"
  end
  return order(msg, side, quantity)
end)

Handlers.add("book.cancel", "Cancel", function(msg)
  local found = Orders[msg["Order-Id"] or ""]
  if not found or found.account ~= msg.From then
    return till.refuse(msg, "Cancel", "you have no such order")
  end
  local back = escrow(found)
  remove(found)
  till.pay(token_of(found.side), msg.From, back, { ["X-Refund"] = "true", ["X-Order-Id"] = found.id })
  msg.reply({ Action = "Cancelled", ["Order-Id"] = found.id, Lots = found.lots })
end)

Handlers.add("book.cancel-all", "Cancel-All", function(msg)
  local back, count = { buy = amount.zero, sell = amount.zero }, 0
  for _, side in ipairs({ "buy", "sell" }) do
    local kept = {}
    for _, id in ipairs(Sides[side]) do
      if Orders[id].account == msg.From then
        back[side], count = back[side] + escrow(Orders[id]), count + 1
        Orders[id] = nil
      else
        kept[#kept + 1] = id
      end
    end
    Sides[side] = kept
  end
  because(count .. " orders of " .. msg.From .. " are taken out")
  local refunds = 0
  for _, side in ipairs({ "buy", "sell" }) do
    refunds = refunds + (amount.is_zero(back[side]) and 0 or 1)
    till.pay(token_of(side), msg.From, back[side], { ["X-Refund"] = "true", ["X-Cancel"] = msg.Label })
  end
  msg.reply({ Action = "Cancelled-All", Orders = tostring(count), Refunds = tostring(refunds), Base = amount.text(back.sell), Quote = amount.text(back.buy), Label = msg.Label })
end)

Handlers.add("book.collect", till.from_owner("Collect-Fees"), function(msg)
  for purse, quantity in pairs(Fees) do
    Fees[purse] = "0"
    till.pay(Market[purse], Owner, amount.of(quantity), { ["X-Action"] = "Fees" })
  end
  msg.reply({ Action = "Fees-Collected" })
end)

--- Prices with how many lots there are, best first.
local function levels(side)
  local out = {}
  for _, id in ipairs(Sides[side]) do
    local one, last = Orders[id], out[#out]
    if last and last.price == one.price then
      last.lots = amount.text(amount.of(last.lots) + amount.of(one.lots))
    elseif #out >= LEVELS_MAX then
      break
    else
      out[#out + 1] = { price = one.price, lots = one.lots }
    end
  end
  return out
end

Handlers.add("book.book", "Book", function(msg)
  msg.reply({ Action = "Book-Result", Data = { buy = levels("buy"), sell = levels("sell"), trades = #Trades } })
end)

Handlers.add("book.orders", "Orders", function(msg)
  local own = {}
  for _, side in ipairs({ "buy", "sell" }) do
    for _, id in ipairs(Sides[side]) do
      if Orders[id].account == msg.From then
        own[#own + 1] = Orders[id]
      end
    end
  end
  msg.reply({ Action = "Orders-Result", Data = { orders = own } })
end)

Handlers.add("book.trades", "Trades", function(msg)
  msg.reply({ Action = "Trades-Result", Data = { trades = Trades } })
end)

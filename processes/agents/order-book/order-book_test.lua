--- The book: who trades first and at what price, what goes back, and what nobody can do to others.
local world = require("test.world")

describe("order book", function()
  local base, quote, book
  local SUPPLY = 30000000

  setup(function()
    local rich = { [t.ada.id] = 10000000, [t.ben.id] = 10000000, [t.cleo.id] = 10000000 }
    base, quote = world.token("BASE", rich), world.token("QUOTE", rich)
    book = t.spawn("order-book")
    book:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10", Fee = "20" })
    t.expect({ Action = "Configured" })
  end)

  local function sell(who, lots, price, tags)
    tags = tags or {}
    tags["X-Action"], tags["X-Side"], tags["X-Price"] = "Order", "sell", tostring(price)
    return world.transfer(base, who, book, lots * 10, tags)
  end
  local function buy(who, lots, price, tags)
    tags = tags or {}
    tags["X-Action"], tags["X-Side"], tags["X-Price"] = "Order", "buy", tostring(price)
    return world.transfer(quote, who, book, lots * price, tags)
  end

  --- What the book has is what is in orders, in fees, and owed.
  local function invariant()
    local parts = book:eval([==[
      local amount, till = require("lib.amount"), require("lib.till")
      local base, quote = amount.of(Fees.base) + till.owed(Market.base), amount.of(Fees.quote) + till.owed(Market.quote)
      local listed = 0
      for side, list in pairs(Sides) do
        for at, id in ipairs(list) do
          local one = Orders[id]
          listed = listed + 1
          assert(one.side == side and amount.of(one.lots) > amount.zero)
          local last = at > 1 and Orders[list[at - 1] ]
          if last then
            local a, b = amount.of(last.price), amount.of(one.price)
            assert(a == b and tonumber(last.id) < tonumber(one.id) or side == "buy" and a > b or side == "sell" and a < b, "out of order")
          end
          if side == "sell" then base = base + amount.of(one.lots) * amount.of(Market.lot)
          else quote = quote + amount.of(one.lots) * amount.of(one.price) end
        end
      end
      local bid, ask = Orders[Sides.buy[1] ], Orders[Sides.sell[1] ]
      assert(not (bid and ask) or amount.of(bid.price) < amount.of(ask.price), "the book is crossed")
      assert(listed == #Utils.keys(Orders))
      return { base = tostring(base), quote = tostring(quote) }]==])
    for token, purse in pairs({ [base] = "base", [quote] = "quote" }) do
      world.conserved(token, SUPPLY)
      world.agrees(book, token)
      assert.are.equal(world.balance(token, book), math.tointeger(tonumber(parts[purse])))
    end
  end

  it("trades with the best price first, and with who came first at the same price", function()
    sell(t.ada, 5, 102)
    sell(t.ben, 5, 101)
    sell(t.ada, 5, 101)
    -- 7 lots: 5 of ben and 2 of ada, all at 101.
    buy(t.cleo, 7, 103)
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "505", ["X-Action"] = "Filled" }, 1)
    t.expect({ Action = "Credit-Notice", Target = t.ada, Quantity = "202", ["X-Action"] = "Filled" }, 1)
    -- 70 less the fee of 0.14, rounded up; and the 2 for each lot that it did not cost.
    t.expect({ Action = "Credit-Notice", Target = t.cleo, Quantity = "69", ["X-Action"] = "Filled" }, 1)
    t.expect({ Action = "Credit-Notice", Target = t.cleo, Quantity = "14", ["X-Refund"] = "true" }, 1)
    assert.are.equal("1", book:state("Fees.base"))
    invariant()
  end)

  it("keeps what is left of an order, and gives it back when it is cancelled by its owner", function()
    sell(t.ada, 2, 100)
    buy(t.ben, 5, 100)
    t.expect({ Action = "Order-Result", Target = t.ben, Filled = "2", Lots = "5" })
    local id = book:state("Sides.buy[1]")
    assert.are.equal("3", book:state("Orders['" .. id .. "'].lots"))
    t.cleo:send({ Target = book, Action = "Cancel", ["Order-Id"] = id })
    t.expect({ Action = "Cancel-Error", Target = t.cleo })
    t.ben:send({ Target = book, Action = "Cancel", ["Order-Id"] = id })
    t.ben:send({ Target = book, Action = "Cancel", ["Order-Id"] = id })
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "300", ["X-Refund"] = "true" }, 1)
    assert.are.equal(9999800, world.balance(quote, t.ben))
    invariant()
  end)

  it("keeps nothing of ioc, and takes nothing of post that would trade", function()
    sell(t.ada, 1, 100)
    buy(t.ben, 3, 100, { ["X-Type"] = "post" })
    assert.are.equal(10000000, world.balance(quote, t.ben))
    buy(t.ben, 3, 100, { ["X-Type"] = "ioc" })
    assert.are.equal(9999900, world.balance(quote, t.ben))
    assert.are.same({}, book:state("Sides.buy"))
    buy(t.ben, 3, 99, { ["X-Type"] = "post" })
    assert.are.equal(1, book:state("#Sides.buy"))
    invariant()
  end)

  it("lets nobody trade with themselves", function()
    sell(t.ada, 5, 100)
    sell(t.ben, 5, 100)
    buy(t.ada, 8, 100)
    -- Ada's own offer went back to her; five came of Ben, and three are left to buy.
    assert.are.equal(10000000 + 50 - 1, world.balance(base, t.ada))
    assert.are.equal(1, book:state("#Trades"))
    assert.are.equal("3", book:state("Orders[Sides.buy[1]].lots"))
    invariant()
  end)

  it("gives back what is no order", function()
    for _, tags in ipairs({
      {}, { ["X-Action"] = "Order" }, { ["X-Action"] = "Order", ["X-Side"] = "sell", ["X-Price"] = "5" },
      { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "0" }, { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "-5" },
      { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "1001" }, { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = ("9"):rep(60) },
      { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "5", ["X-Type"] = "iceberg" },
    }) do
      world.transfer(quote, t.ben, book, 1000, tags)
      assert.are.equal(10000000, world.balance(quote, t.ben))
    end
    t.ben:send({ Target = book, Action = "Credit-Notice", Sender = t.ben, Quantity = "1000", ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "5" })
    assert.are.same({}, book:state("Orders"))
    invariant()
  end)

  it("gives back what does not make a whole lot", function()
    world.transfer(base, t.ben, book, 109, { ["X-Action"] = "Order", ["X-Side"] = "sell", ["X-Price"] = "5" })
    assert.are.equal(10000000 - 100, world.balance(base, t.ben))
    world.transfer(quote, t.ben, book, 11, { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "4" })
    assert.are.equal(10000000 - 8, world.balance(quote, t.ben))
    invariant()
  end)

  it("has a bound of orders for each account, and of trades for each order", function()
    for _ = 1, 100 do sell(t.ada, 1, 100) end
    sell(t.ada, 1, 100)
    assert.are.equal(100, book:state("#Sides.sell"))
    buy(t.ben, 100, 100)
    assert.are.equal(50, book:state("#Trades"))
    -- The rest would have stood on the wrong side.
    assert.are.equal(10000000 - 5000, world.balance(quote, t.ben))
    invariant()
  end)

  it("loses nothing in hundreds of random actions, with repeats, another order and tokens that refuse", function()
    world.flaky(base, 7)
    world.flaky(quote, 9)
    t.reorder(11, { duplicate = 0.2, delay = "1s" })
    local draw, users, kinds = world.chance(5), { t.ada, t.ben, t.cleo }, { "limit", "limit", "ioc", "post" }
    for round = 1, 400 do
      local user, what = users[draw(1, 3)], draw(1, 10)
      if what <= 4 then
        sell(user, draw(0, 20), draw(95, 105), { ["X-Type"] = kinds[draw(1, 4)] })
      elseif what <= 8 then
        buy(user, draw(0, 20), draw(95, 105), { ["X-Type"] = kinds[draw(1, 4)] })
      elseif what == 9 then
        user:send({ Target = book, Action = "Cancel", ["Order-Id"] = tostring(draw(1, round)) })
      else
        user:send({ Target = book, Action = ({ "Cancel-All", "Claim", "Collect-Fees" })[draw(1, 3)], Token = draw(0, 1) == 0 and base or quote })
      end
      if round % 40 == 0 then
        t.clock.advance("1m")
        invariant()
      end
    end
    assert.is_true(book:state("#Trades") > 50)
  end)
end)

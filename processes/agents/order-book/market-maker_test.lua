--- The market maker, at the real book, with a price from feeders.
local world = require("test.world")

describe("market maker", function()
  local base, quote, book, maker
  local SUPPLY = 20000000

  setup(function()
    local rich = { [t.ada.id] = 10000000, [t.ben.id] = 10000000 }
    base, quote = world.token("BASE", rich), world.token("QUOTE", rich)
    book, maker = t.spawn("order-book"), t.spawn("market-maker")
    book:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10" })
    maker:send({
      Action = "Configure", Book = book, Base = base, Quote = quote, Lot = "10", Lots = "20", ["Most-Base"] = "5000", Spread = "100", Floor = "500000",
      Feeders = t.cleo.id .. "," .. t.dan.id .. "," .. t.eve.id, Quorum = "2", ["Max-Age"] = "120000",
    })
    t.expect({ Action = "Configured", From = maker })
    world.transfer(base, t.ada, maker, 2000)
    world.transfer(quote, t.ada, maker, 1000000)
  end)

  local function say(price)
    for _, feeder in ipairs({ t.cleo, t.dan }) do
      world.feed(maker, feeder, "price", price)
    end
  end
  local function order(side)
    return book:state(("Orders[Sides.%s[1]]"):format(side))
  end
  local function invariant()
    for _, token in ipairs({ base, quote }) do
      world.conserved(token, SUPPLY)
      world.agrees(maker, token)
      world.agrees(book, token)
    end
  end

  it("offers below and above the price, and follows it", function()
    say(1000)
    t.clock.advance("1m")
    assert.are.equal("990", order("buy").price)
    assert.are.equal("1010", order("sell").price)
    assert.are.equal("20", order("sell").lots)
    say(1200)
    t.clock.advance("1m")
    assert.are.equal("1188", order("buy").price)
    assert.are.equal(2, book:eval("return #Sides.buy + #Sides.sell"))
    invariant()
  end)

  it("offers nothing without enough feeders, or when they are silent", function()
    world.feed(maker, t.cleo, "price", 1000)
    world.feed(maker, t.ben, "price", 1000)
    t.clock.advance("1m")
    assert.is_nil(order("buy"))
    say(1000)
    t.clock.advance("1m")
    assert.are.equal("990", order("buy").price)
    t.clock.advance("4m")
    assert.is_nil(order("buy"))
    invariant()
  end)

  it("takes the median: one feeder that lies moves nothing", function()
    say(1000)
    world.feed(maker, t.eve, "price", "99999999")
    t.clock.advance("1m")
    assert.are.equal("990", order("buy").price)
  end)

  it("does not take an old price again, or one from the future", function()
    world.feed(maker, t.cleo, "price", 1000, { ["Feed-Sequence"] = "100000" })
    world.feed(maker, t.cleo, "price", 5, { ["Feed-Sequence"] = "100000" })
    world.feed(maker, t.cleo, "price", 5, { ["Feed-Sequence"] = "100001", ["Feed-Time"] = "1" })
    world.feed(maker, t.cleo, "price", 5, { ["Feed-Sequence"] = "100001", ["Feed-Time"] = tostring(t.clock.now() + 3600000) })
    world.feed(maker, t.cleo, "price", "5.5", { ["Feed-Sequence"] = "100001" })
    assert.are.equal("1000", maker:state("Feeds.price.said['" .. t.cleo.id .. "'].value"))
  end)

  it("stops when what it has is worth less than its floor", function()
    say(1000)
    t.clock.advance("1m")
    maker:eval("Plan.floor = '5000000'")
    say(1000)
    t.clock.advance("1m")
    assert.matches("Floor", maker:state("Stopped"))
    assert.is_nil(order("buy"))
    maker:send({ Action = "Withdraw" })
    assert.are.equal(0, world.balance(quote, maker))
    invariant()
  end)

  it("trades for 24 hours with its own money alone, with repeats, delays and tokens that refuse", function()
    world.flaky(base, 23)
    world.flaky(quote, 29)
    t.reorder(2, { duplicate = 0.1, delay = "5s" })
    local draw, price = world.chance(3), 1000
    for _ = 1, 24 * 12 do
      price = math.max(500, price + draw(-20, 20))
      say(price)
      t.clock.advance("5m")
      local side = draw(0, 1) == 0 and "sell" or "buy"
      say(price)
      t.clock.advance("1m")
      local tags = { ["X-Action"] = "Order", ["X-Side"] = side, ["X-Price"] = tostring(side == "buy" and price + 30 or price - 30), ["X-Type"] = "ioc" }
      world.transfer(side == "buy" and quote or base, t.ben, book, side == "buy" and 8 * (price + 30) or 80, tags)
    end
    maker:send({ Action = "Stop" })
    t.clock.advance("2m")
    for _ = 1, 3 do
      for _, token in ipairs({ base, quote }) do
        t.as(maker, function() book:send({ Action = "Claim", Token = token }) end)
        t.as(t.ben, function() book:send({ Action = "Claim", Token = token }) end)
      end
      t.clock.advance("1m")
    end
    invariant()
    assert.is_true(maker:state("Fills") > 50)
    -- It holds no more of the base than it may, but for one round that came while another was on its way.
    assert.is_true(world.balance(base, maker) <= 5200)
    local worth = world.balance(quote, maker) + world.balance(base, maker) // 10 * price
    print(("after 24 hours: %d trades, worth %d of 1200000"):format(maker:state("Fills"), worth))
  end)

  it("is moved by nobody but its owner, its book and its feeders", function()
    t.ben:send({ Target = maker, Action = "Cancelled-All", Refunds = "0", Label = "cancel-1", Base = "0", Quote = "0" })
    t.ben:send({ Target = maker, Action = "Withdraw" })
    t.ben:send({ Target = maker, Action = "Stop" })
    t.ben:send({ Target = maker, Action = "Tick" })
    world.transfer(quote, t.ben, maker, 77)
    assert.is_nil(maker:state("Stopped"))
    assert.are.equal(10000000, world.balance(quote, t.ben))
    assert.are.equal(1000000, world.balance(quote, maker))
  end)
end)

--- The demo of book and maker: `pirn test order-book/demo_test.lua` tells the story and checks how it ends.
local world = require("test.world")

it("is quoted by an agent at the price of a feed, and trades", function()
  local base, quote = world.token("BASE", { [t.ada.id] = 100000, [t.ben.id] = 10000 }), world.token("QUOTE", { [t.ada.id] = 10000000, [t.ben.id] = 1000000 })
  local book, maker = t.spawn("order-book"), t.spawn("market-maker")
  book:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10" })
  maker:send({ Action = "Configure", Book = book, Base = base, Quote = quote, Lot = "10", Lots = "20", ["Most-Base"] = "9000", Spread = "100", Feeders = t.dan.id })
  world.transfer(base, t.ada, maker, 5000)
  world.transfer(quote, t.ada, maker, 1000000)
  print("the maker has 5,000 BASE and 1,000,000 QUOTE, and offers 20 lots of 10 on each side, one percent off the price")
  for _, price in ipairs({ 1000, 1010, 1040, 990, 980, 1000 }) do
    world.feed(maker, t.dan, "price", price)
    t.clock.advance("1m")
    local bid, ask = book:state("Orders[Sides.buy[1]].price"), book:state("Orders[Sides.sell[1]].price")
    local side = price >= 1010 and "buy" or "sell"
    world.transfer(side == "buy" and quote or base, t.ben, book, side == "buy" and 5 * math.tointeger(tonumber(ask)) or 50,
      { ["X-Action"] = "Order", ["X-Side"] = side, ["X-Price"] = side == "buy" and ask or bid, ["X-Type"] = "ioc" })
    print(("price %d: offered %s to %s; ben %ss 5 lots"):format(price, bid, ask, side))
  end
  maker:send({ Action = "Stop" })
  t.clock.advance("1m")
  print(("after six rounds the maker has %d BASE and %d QUOTE"):format(world.balance(base, maker), world.balance(quote, maker)))
  assert.are.equal(6, book:state("#Trades"))
  assert.are.equal(0, world.balance(quote, book))
  world.conserved(base, 110000)
  world.conserved(quote, 11000000)
end)

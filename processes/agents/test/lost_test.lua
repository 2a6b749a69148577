--- Where messages get lost for good, nobody gains: what an agent thinks that it has is never more than it has.
local world = require("test.world")

it("loses no token where a tenth of the messages gets lost", function()
  local rich = { [t.ada.id] = 10000000, [t.ben.id] = 10000000 }
  local base, quote = world.token("BASE", rich), world.token("QUOTE", rich)
  local pool, bot, book, maker = t.spawn("amm"), t.spawn("dca"), t.spawn("order-book"), t.spawn("market-maker")
  pool:send({ Action = "Configure", ["Token-A"] = quote, ["Token-B"] = base })
  bot:send({ Action = "Configure", ["Pay-Token"] = quote, ["Buy-Token"] = base, Pool = pool, Amount = "1000", Budget = "100000" })
  book:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10" })
  maker:send({ Action = "Configure", Book = book, Base = base, Quote = quote, Lot = "10", Lots = "20", ["Most-Base"] = "50000", Spread = "100", Feeders = t.dan.id, ["Max-Age"] = "1800000" })
  for token, quantity in pairs({ [quote] = 1000000, [base] = 100000 }) do
    world.transfer(token, t.ada, pool, quantity, { ["X-Action"] = "Provide" })
    world.transfer(token, t.ada, maker, quantity)
  end
  world.transfer(quote, t.ada, bot, 1000000)
  pool:send({ Action = "Provide" })

  t.reorder(17, { drop = 0.1, duplicate = 0.1, delay = "5s" })
  local draw = world.chance(99)
  for _ = 1, 24 * 2 do
    world.feed(maker, t.dan, "price", draw(95, 105))
    t.clock.advance("30m")
    world.transfer(quote, t.ben, book, 1200, { ["X-Action"] = "Order", ["X-Side"] = "buy", ["X-Price"] = "120", ["X-Type"] = "ioc" })
    world.transfer(base, t.ben, pool, draw(1, 500), { ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
  end
  for _, token in ipairs({ base, quote }) do
    world.conserved(token, 20000000)
    for _, process in ipairs({ pool, bot, book, maker }) do
      local held = math.tointeger(tonumber(process:state(("Till.held[%q] or '0'"):format(token.id))))
      assert.is_true(held <= world.balance(token, process), process.name)
    end
  end
  assert.is_true(math.tointeger(tonumber(bot:state("Spent"))) <= 100000)
  assert.is_true(math.tointeger(tonumber(bot:state("Spent"))) > 50000)
end)

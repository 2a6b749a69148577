--- The demo of the bot: `pirn test dca/demo_test.lua` tells the story and checks how it ends.
local world = require("test.world")

it("buys a little gold each minute, for an hour", function()
  local coin = world.token("COIN", { [t.ada.id] = 5000000 })
  local gold = world.token("GOLD", { [t.ada.id] = 1000000 })
  local pool, bot = t.spawn("amm"), t.spawn("dca")
  pool:send({ Action = "Configure", ["Token-A"] = coin, ["Token-B"] = gold })
  world.transfer(coin, t.ada, pool, 4000000, { ["X-Action"] = "Provide" })
  world.transfer(gold, t.ada, pool, 1000000, { ["X-Action"] = "Provide" })
  pool:send({ Action = "Provide" })
  print("a pool of 4,000,000 COIN and 1,000,000 GOLD")
  bot:send({ Action = "Configure", ["Pay-Token"] = coin, ["Buy-Token"] = gold, Pool = pool, Amount = "1000", Budget = "45000" })
  world.transfer(coin, t.ada, bot, 100000)
  print("the bot was given 100,000 COIN, and may spend 1,000 a minute, 45,000 in all")
  for _ = 1, 6 do
    t.clock.advance("10m")
    print(("%s  spent %s COIN, bought %s GOLD"):format(os.date("!%H:%M"), bot:state("Spent"), bot:state("Bought")))
  end
  assert.are.equal("45000", bot:state("Spent"))
  for _, token in ipairs({ coin, gold }) do
    bot:send({ Action = "Withdraw", Token = token })
  end
  print(("its owner took back %d COIN and %d GOLD"):format(world.balance(coin, t.ada), world.balance(gold, t.ada)))
end)

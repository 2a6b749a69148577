--- The demo of the market: `pirn test prediction/demo_test.lua` tells the story and checks how it ends.
local world = require("test.world")

it("is resolved by two feeders of three", function()
  local coin = world.token("COIN", { [t.ben.id] = 1000, [t.cleo.id] = 1000 })
  local market, fay = t.spawn("prediction"), t.account("fay")
  market:send({
    Action = "Configure", Token = coin, Question = "Does it rain tomorrow?", Closes = tostring(t.clock.now() + 3600000), ["Invalid-After"] = tostring(t.clock.now() + 86400000),
    Feeders = t.dan.id .. "," .. t.eve.id .. "," .. fay.id, Quorum = "2",
  })
  for _, who in ipairs({ t.ben, t.cleo }) do
    world.transfer(coin, who, market, 1000, { ["X-Action"] = "Mint" })
  end
  t.ben:send({ Target = market, Action = "Move", Outcome = "no", Quantity = "1000", Recipient = t.cleo })
  t.cleo:send({ Target = market, Action = "Move", Outcome = "yes", Quantity = "1000", Recipient = t.ben })
  print("ben and cleo mint 1,000 sets each; ben has all of yes, cleo all of no")
  t.clock.advance("61m")
  for who, says in pairs({ dan = "yes", eve = "no", fay = "yes" }) do
    world.feed(market, t.account(who), "outcome", says)
    print(("%s says %s; the market is %s"):format(who, says, market:state("Resolved or 'open'")))
  end
  for _, who in ipairs({ t.ben, t.cleo }) do
    who:send({ Target = market, Action = "Redeem" })
  end
  print(("ben has %d, cleo has %d"):format(world.balance(coin, t.ben), world.balance(coin, t.cleo)))
  assert.are.equal(2000, world.balance(coin, t.ben))
end)

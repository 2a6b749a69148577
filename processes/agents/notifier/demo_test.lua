--- The demo of the notifier: `pirn test notifier/demo_test.lua` tells the story and checks how it ends.
local world = require("test.world")

it("tells what moved for as long as it is paid", function()
  local coin, ledger = world.token("COIN", { [t.ben.id] = 100 }), world.token("LEDGER", { [t.dan.id] = 1000 })
  local notifier = t.spawn("notifier")
  notifier:send({ Action = "Configure", Token = coin, Ledger = ledger, Price = "10", Period = "3600000" })
  world.transfer(coin, t.ben, notifier, 25, { ["X-Action"] = "Subscribe", ["X-Watch"] = t.dan.id })
  print("ben pays 25 COIN to hear of dan's account: two hours at 10")
  local told = 0
  for hour = 1, 3 do
    t.clock.advance("30m")
    world.transfer(ledger, t.dan, t.eve, 100)
    t.clock.advance("30m")
    local all = t.sent({ Action = "Notification" })
    for at = told + 1, #all do
      print(("hour %d: ben is told that dan had %s and has %s"):format(hour, all[at].Before, all[at].Now))
    end
    told = #all
  end
  t.expect({ Action = "Subscription-Ended", Target = t.ben }, 1)
  print(("in the third hour nothing is told; ben got back what was left and has %d COIN"):format(world.balance(coin, t.ben)))
  assert.are.equal(2, told)
end)

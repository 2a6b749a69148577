--- The demo of the solver: `pirn test rfq/demo_test.lua` tells the story and checks how it ends.
local world = require("test.world")

it("quotes, keeps its word for a minute, and not longer", function()
  local base, quote = world.token("BASE", { [t.ada.id] = 100000 }), world.token("QUOTE", { [t.ada.id] = 1000000, [t.ben.id] = 1000000 })
  local solver = t.spawn("rfq")
  solver:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10", Spread = "100", Life = "60000", Feeders = t.dan.id })
  world.transfer(base, t.ada, solver, 100000)
  world.feed(solver, t.dan, "price", 1000)
  local function ask()
    t.ben:send({ Target = solver, Action = "Request-Quote", Side = "buy", Lots = "20" })
    local all = t.sent({ Action = "Quote", Target = t.ben })
    local got = all[#all]
    print(("ben asks for 20 lots: quote %s, %s BASE for %s QUOTE"):format(got["Quote-Id"], got["Give-Quantity"], got["Take-Quantity"]))
    return got
  end
  local first = ask()
  world.feed(solver, t.dan, "price", 1100)
  print("the price goes up to 1100; the quote holds")
  world.transfer(quote, t.ben, solver, first["Take-Quantity"], { ["X-Action"] = "Accept", ["X-Quote"] = first["Quote-Id"] })
  print(("ben accepts, and has %d BASE"):format(world.balance(base, t.ben)))
  local second = ask()
  t.clock.advance("2m")
  world.transfer(quote, t.ben, solver, second["Take-Quantity"], { ["X-Action"] = "Accept", ["X-Quote"] = second["Quote-Id"] })
  print("he accepts the second one two minutes later: his QUOTE comes back")
  assert.are.equal(200, world.balance(base, t.ben))
  assert.are.equal(1000000 - 20200, world.balance(quote, t.ben))
end)

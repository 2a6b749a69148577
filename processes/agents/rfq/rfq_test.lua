--- The solver: what it quotes, for whom and how long that holds, and that it never promises what it has not.
local world = require("test.world")

describe("rfq solver", function()
  local base, quote, solver
  local SUPPLY = 30000000

  setup(function()
    local rich = { [t.ada.id] = 10000000, [t.ben.id] = 10000000, [t.cleo.id] = 10000000 }
    base, quote = world.token("BASE", rich), world.token("QUOTE", rich)
    solver = t.spawn("rfq")
    solver:send({ Action = "Configure", Base = base, Quote = quote, Lot = "10", Spread = "100", Life = "60000", Feeders = t.dan.id })
    t.expect({ Action = "Configured" })
    world.transfer(base, t.ada, solver, 10000)
    world.transfer(quote, t.ada, solver, 1000000)
    world.feed(solver, t.dan, "price", 1000)
  end)

  local function invariant()
    for _, token in ipairs({ base, quote }) do
      world.conserved(token, SUPPLY)
      world.agrees(solver, token)
    end
    -- What is promised is there.
    solver:eval([[
      local amount, till = require("lib.amount"), require("lib.till")
      for _, token in ipairs({ Plan.base, Plan.quote }) do
        local left = till.held(token) - till.owed(token)
        for _, one in pairs(Quotes) do
          if one.give == token then left = left - amount.of(one.give_quantity) end
        end
        assert(left >= amount.zero, "more is promised than there is")
      end]])
  end
  local function ask(who, side, lots)
    who:send({ Target = solver, Action = "Request-Quote", Side = side, Lots = tostring(lots) })
  end

  it("quotes above and below the price, and fills what is accepted", function()
    ask(t.ben, "buy", 10)
    t.expect({ Action = "Quote", Target = t.ben, ["Quote-Id"] = "1", Give = base, ["Give-Quantity"] = "100", Take = quote, ["Take-Quantity"] = "10100" })
    world.transfer(quote, t.ben, solver, 10150, { ["X-Action"] = "Accept", ["X-Quote"] = "1" })
    assert.are.equal(10000100, world.balance(base, t.ben))
    assert.are.equal(10000000 - 10100, world.balance(quote, t.ben))
    ask(t.ben, "sell", 10)
    t.expect({ Action = "Quote", Target = t.ben, Give = quote, ["Give-Quantity"] = "9900", ["Take-Quantity"] = "100" })
    world.transfer(base, t.ben, solver, 100, { ["X-Action"] = "Accept", ["X-Quote"] = "2" })
    assert.are.equal(10000000 - 200, world.balance(quote, t.ben))
    invariant()
  end)

  it("gives back what is late, too little, of others, for the wrong token, or a second time", function()
    ask(t.ben, "buy", 10)
    local accept = { ["X-Action"] = "Accept", ["X-Quote"] = "1" }
    world.transfer(quote, t.cleo, solver, 10100, accept)
    world.transfer(quote, t.ben, solver, 10099, accept)
    world.transfer(base, t.ben, solver, 10100, accept)
    assert.are.equal(10000000, world.balance(quote, t.ben))
    assert.are.equal(10000000, world.balance(quote, t.cleo))
    assert.are.equal(10000000, world.balance(base, t.ben))
    t.clock.advance("61s")
    world.transfer(quote, t.ben, solver, 10100, accept)
    assert.are.equal(10000000, world.balance(quote, t.ben))
    world.feed(solver, t.dan, "price", 1000)
    ask(t.ben, "buy", 10)
    for _ = 1, 2 do
      world.transfer(quote, t.ben, solver, 10100, { ["X-Action"] = "Accept", ["X-Quote"] = "2" })
    end
    assert.are.equal(10000000 - 10100, world.balance(quote, t.ben))
    invariant()
  end)

  it("promises nobody everything, and is not filled with questions", function()
    ask(t.ben, "buy", 251)
    t.expect({ Action = "Quote-Error", Target = t.ben })
    for _ = 1, 4 do ask(t.ben, "buy", 1) end
    assert.are.equal(3, solver:eval("return #Utils.keys(Quotes)"))
    ask(t.cleo, "buy", 0)
    ask(t.cleo, "hold", 1)
    ask(t.cleo, "sell", ("9"):rep(38))
    ask(t.cleo, "sell", ("9"):rep(80))
    t.expect({ Action = "Quote-Error", Target = t.cleo }, 4)
    -- What was set aside is not the owner's to take either.
    solver:send({ Action = "Withdraw", Token = base })
    assert.are.equal(30, world.balance(base, solver))
    t.clock.advance("2m")
    solver:send({ Action = "Withdraw", Token = base })
    assert.are.equal(0, world.balance(base, solver))
    invariant()
  end)

  it("quotes nothing without a fresh price, and does not believe forged notices", function()
    t.clock.advance("6m")
    ask(t.ben, "buy", 1)
    t.expect({ Action = "Quote-Error", Target = t.ben })
    world.feed(solver, t.ben, "price", 1)
    ask(t.ben, "buy", 1)
    t.expect({ Action = "Quote-Error", Target = t.ben }, 2)
    world.feed(solver, t.dan, "price", 1000)
    ask(t.ben, "buy", 1)
    t.ben:send({ Target = solver, Action = "Credit-Notice", Sender = t.ben, Quantity = "1010", ["X-Action"] = "Accept", ["X-Quote"] = "1" })
    t.expect_none({ Action = "Transfer" })
    invariant()
  end)

  it("keeps its promises for 24 hours, with repeats, delays and tokens that refuse", function()
    world.flaky(base, 13)
    world.flaky(quote, 17)
    t.reorder(4, { duplicate = 0.2, delay = "5s" })
    local draw, price, users = world.chance(9), 1000, { t.ben, t.cleo }
    for _ = 1, 24 * 12 do
      price = math.max(500, price + draw(-10, 10))
      world.feed(solver, t.dan, "price", price)
      local user = users[draw(1, 2)]
      ask(user, draw(0, 1) == 0 and "buy" or "sell", draw(1, 60))
      t.clock.advance(draw(0, 5) == 0 and "90s" or "10s")
      for _, one in pairs(solver:state("Quotes")) do
        if draw(0, 2) > 0 then
          world.transfer(one.take == base.id and base or quote, draw(0, 5) == 0 and t.ada or t.account(one.account == t.ben.id and "ben" or "cleo"), solver,
            math.tointeger(tonumber(one.take_quantity)) + draw(-1, 2), { ["X-Action"] = "Accept", ["X-Quote"] = one.id })
        end
      end
      t.clock.advance("5m")
    end
    -- Ada is its owner: what she sent in another's place with another amount is hers to give.
    invariant()
    assert.is_true(solver:state("Filled") > 50)
  end)
end)

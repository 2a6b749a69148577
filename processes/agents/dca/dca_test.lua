--- The bot, at a real pool with real tokens: what it buys, when it stops, and what it does not fall for.
local world = require("test.world")

describe("dca", function()
  local coin, gold, pool, bot

  setup(function()
    coin = world.token("COIN", { [t.ada.id] = 10000000, [t.ben.id] = 1000000 })
    gold = world.token("GOLD", { [t.ada.id] = 10000000, [t.ben.id] = 1000000 })
    pool = t.spawn("amm")
    pool:send({ Action = "Configure", ["Token-A"] = coin, ["Token-B"] = gold, Fee = "30" })
    world.transfer(coin, t.ada, pool, 4000000, { ["X-Action"] = "Provide" })
    world.transfer(gold, t.ada, pool, 1000000, { ["X-Action"] = "Provide" })
    pool:send({ Action = "Provide" })
    bot = t.spawn("dca")
    bot:send({ Action = "Configure", ["Pay-Token"] = coin, ["Buy-Token"] = gold, Pool = pool, Amount = "1000", Budget = "25000", Slippage = "100" })
    world.transfer(coin, t.ada, bot, 100000)
  end)

  local function invariant()
    for _, token in ipairs({ coin, gold }) do
      world.conserved(token, 11000000)
      world.agrees(bot, token)
      world.agrees(pool, token)
    end
    assert.is_true(math.tointeger(tonumber(bot:state("Spent"))) <= 25000)
  end

  it("buys on each tick", function()
    t.clock.advance("3m")
    t.expect({ Action = "Credit-Notice", Target = bot, Sender = pool, ["X-Action"] = "Swapped" }, 3)
    assert.are.equal(97000, world.balance(coin, bot))
    assert.are.equal(tonumber(bot:state("Bought")), world.balance(gold, bot))
    assert.are.equal(3, bot:state("#Purchases"))
    invariant()
  end)

  it("never spends more than its budget, in 24 hours with repeats, delays and refusals", function()
    world.flaky(coin, 5)
    world.flaky(gold, 7)
    t.reorder(5, { duplicate = 0.2, delay = "20s" })
    local draw = world.chance(7)
    for hour = 1, 24 do
      -- Others trade meanwhile, and the owner lets it go on after each refusal.
      for _ = 1, 4 do
        world.transfer(draw(0, 1) == 0 and coin or gold, t.ben, pool, draw(1, 9000), { ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
        t.clock.advance("15m")
        bot:send({ Action = "Resume" })
      end
      if hour % 8 == 0 then
        t.ben:send({ Target = pool, Action = "Claim", Token = coin })
      end
    end
    bot:send({ Action = "Pause" })
    t.clock.advance("10m")
    invariant()
    assert.are.equal(25000, math.tointeger(tonumber(bot:state("Spent"))))
  end)

  it("takes its money back and stays at the price that its owner wants", function()
    bot:send({ Action = "Configure", ["Pay-Token"] = coin, ["Buy-Token"] = gold, Pool = pool, Amount = "1000", Budget = "25000", ["Min-Output"] = "300" })
    t.clock.advance("5m")
    assert.are.equal(100000, world.balance(coin, bot))
    assert.are.equal("0", bot:state("Spent"))
    invariant()
  end)

  it("has spent nothing where the pool would have given too little in the meantime", function()
    -- The price moves between the quote and the swap.
    pool:eval([[Handlers.prepend("early", "Quote", function(msg)
      msg.reply({ Action = "Quote-Result", Token = msg.Token, Quantity = msg.Quantity, Order = msg.Order, Output = "260" })
    end)]])
    t.clock.advance("1m")
    t.expect({ Action = "Credit-Notice", Target = bot, ["X-Refund"] = "true", Quantity = "1000", ["X-Order"] = "1" }, 1)
    assert.are.equal("0", bot:state("Spent"))
    assert.are.same({}, bot:state("Open"))
    invariant()
  end)

  it("listens to its owner alone", function()
    for _, action in ipairs({ "Configure", "Pause", "Withdraw" }) do
      t.ben:send({ Target = bot, Action = action, Token = coin, Pool = t.ben, ["Pay-Token"] = coin, ["Buy-Token"] = gold, Amount = "1", Budget = "1" })
    end
    assert.is_false(bot:state("Paused"))
    assert.are.equal(pool.id, bot:state("Plan.pool"))
    assert.are.equal(100000, world.balance(coin, bot))
  end)

  it("does not act on a stranger's tick, quote or notice", function()
    t.ben:send({ Target = bot, Action = "Tick" })
    t.ben:send({ Target = bot, Action = "Tick", Cron = "true" })
    t.ben:send({ Target = bot, Action = "Quote-Result", Order = "1", Quantity = "1000", Output = "1" })
    t.ben:send({ Target = bot, Action = "Credit-Notice", Sender = pool, Quantity = "5", ["X-Order"] = "1" })
    t.expect_none({ Target = pool })
    world.transfer(coin, t.ben, bot, 50)
    world.transfer(gold, t.ben, bot, 50, { ["X-Order"] = "1" })
    assert.are.equal(1000000, world.balance(coin, t.ben))
    assert.are.equal(1000000, world.balance(gold, t.ben))
    invariant()
  end)

  it("does not wait for ever for a pool that is silent", function()
    pool:eval("Handlers.prepend('deaf', function() return true end, function() end)")
    t.clock.advance("12m")
    assert.are.equal("0", bot:state("Spent"))
    assert.is_true(#t.sent({ Action = "Quote", Target = pool }) >= 2)
  end)

  it("gives its owner what is left and what it bought", function()
    t.clock.advance("25m")
    bot:send({ Action = "Withdraw", Token = coin })
    bot:send({ Action = "Withdraw", Token = gold })
    assert.are.equal(0, world.balance(coin, bot))
    assert.are.equal(0, world.balance(gold, bot))
    assert.are.equal("25000", bot:state("Spent"))
    invariant()
  end)
end)

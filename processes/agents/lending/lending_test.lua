--- The lending process and its watcher: who may borrow, whose collateral is sold, and that no token is made or lost.
local world = require("test.world")

describe("lending", function()
  local gold, coin, lending, watcher
  local SUPPLY = 30000000

  setup(function()
    local rich = { [t.ada.id] = 10000000, [t.ben.id] = 10000000, [t.cleo.id] = 10000000 }
    gold, coin = world.token("GOLD", rich), world.token("COIN", rich)
    lending, watcher = t.spawn("lending"), t.spawn("watcher")
    lending:send({ Action = "Configure", Collateral = gold, Debt = coin, Lot = "10", Feeders = t.dan.id .. "," .. t.eve.id .. "," .. t.account("fay").id, Quorum = "2" })
    watcher:send({ Action = "Configure", Lending = lending, Collateral = gold, Debt = coin, Each = "40000", Budget = "100000" })
    t.expect({ Action = "Configured" }, 2)
    world.transfer(coin, t.ada, lending, 1000000, { ["X-Action"] = "Fund" })
    world.transfer(coin, t.ada, watcher, 500000)
  end)

  local function say(price)
    world.feed(lending, t.dan, "price", price)
    world.feed(lending, t.eve, "price", price)
  end
  local function deposit(who, quantity)
    world.transfer(gold, who, lending, quantity, { ["X-Action"] = "Collateral" })
  end
  local function borrow(who, quantity)
    who:send({ Target = lending, Action = "Borrow", Quantity = tostring(quantity) })
  end
  local function invariant()
    local parts = lending:eval([[
      local amount, till = require("lib.amount"), require("lib.till")
      local collateral, coin = till.owed(Terms.collateral), amount.of(Liquidity) + till.owed(Terms.debt)
      for _, one in pairs(Accounts) do
        collateral = collateral + amount.of(one.collateral)
        assert(amount.of(one.debt) >= amount.zero and amount.of(one.collateral) >= amount.zero)
      end
      return { collateral = tostring(collateral), coin = tostring(coin) }]])
    assert.are.equal(world.balance(gold, lending), math.tointeger(tonumber(parts.collateral)))
    assert.are.equal(world.balance(coin, lending), math.tointeger(tonumber(parts.coin)))
    for _, token in ipairs({ gold, coin }) do
      world.conserved(token, SUPPLY)
      world.agrees(lending, token)
      world.agrees(watcher, token)
    end
    assert.is_true(math.tointeger(tonumber(watcher:state("Spent"))) <= 100000)
  end

  it("lends two thirds of the worth, and gives collateral back that no debt needs", function()
    deposit(t.ben, 1000)
    borrow(t.ben, 1)
    t.expect({ Action = "Borrow-Error", Target = t.ben }) -- no price yet
    say(1000)
    borrow(t.ben, 66001)
    t.expect({ Action = "Borrow-Error", Target = t.ben }, 2)
    borrow(t.ben, 66000)
    assert.are.equal(10066000, world.balance(coin, t.ben))
    t.ben:send({ Target = lending, Action = "Withdraw", Quantity = "1" })
    t.expect({ Action = "Withdraw-Error" })
    world.transfer(coin, t.ben, lending, 66100, { ["X-Action"] = "Repay" })
    assert.are.equal(10000000, world.balance(coin, t.ben))
    t.ben:send({ Target = lending, Action = "Withdraw", Quantity = "1000" })
    assert.are.equal(10000000, world.balance(gold, t.ben))
    assert.are.same({}, lending:state("Accounts"))
    invariant()
  end)

  it("lets nobody take collateral of a debt that is safe, or without a price", function()
    say(1000)
    deposit(t.ben, 1000)
    borrow(t.ben, 66000)
    world.transfer(coin, t.cleo, lending, 66000, { ["X-Action"] = "Liquidate", ["X-Account"] = t.ben.id })
    assert.are.equal(10000000, world.balance(coin, t.cleo))
    t.clock.advance("6m")
    world.transfer(coin, t.cleo, lending, 66000, { ["X-Action"] = "Liquidate", ["X-Account"] = t.ben.id })
    assert.are.equal(10000000, world.balance(coin, t.cleo))
    -- One feeder of three says that it fell: that is not the price.
    say(1000)
    world.feed(lending, t.account("fay"), "price", 1)
    world.transfer(coin, t.cleo, lending, 66000, { ["X-Action"] = "Liquidate", ["X-Account"] = t.ben.id })
    assert.are.equal(10000000, world.balance(coin, t.cleo))
    invariant()
  end)

  it("is watched: a debt that falls under is paid within the budget", function()
    say(1000)
    deposit(t.ben, 1000)
    borrow(t.ben, 66000)
    deposit(t.cleo, 5000)
    borrow(t.cleo, 300000)
    t.clock.advance("1m")
    assert.are.equal("0", watcher:state("Spent"))
    say(800)
    t.clock.advance("1m")
    -- Forty thousand at 800 for ten, and five of a hundred more: 525.
    t.expect({ Action = "Credit-Notice", Target = watcher, Quantity = "525", Sender = lending })
    assert.are.equal("475", lending:state("Accounts['" .. t.ben.id .. "'].collateral"))
    for _ = 1, 10 do
      say(700)
      t.clock.advance("1m")
    end
    assert.are.equal("100000", watcher:state("Spent"))
    assert.are.equal(400000, world.balance(coin, watcher))
    assert.are.equal(math.tointeger(tonumber(watcher:state("Seized"))), world.balance(gold, watcher))
    watcher:send({ Action = "Withdraw" })
    assert.are.equal(0, world.balance(gold, watcher))
    invariant()
  end)

  it("asks for no more than the collateral is for, where it is worth less than the debt", function()
    say(1000)
    deposit(t.ben, 1000)
    borrow(t.ben, 66000)
    say(100)
    world.transfer(coin, t.cleo, lending, 66000, { ["X-Action"] = "Liquidate", ["X-Account"] = t.ben.id })
    assert.are.equal(10000000 - 9524, world.balance(coin, t.cleo))
    assert.are.equal(10001000, world.balance(gold, t.cleo))
    assert.are.same({ collateral = "0", debt = "56476" }, lending:state("Accounts['" .. t.ben.id .. "']"))
    -- What nothing can be had for is not looked at for ever.
    t.ben:send({ Target = lending, Action = "Positions" })
    assert.are.same({}, t.sent({ Action = "Positions-Result" })[1].json.under)
    invariant()
  end)

  it("does not believe strangers", function()
    say(1000)
    t.ben:send({ Target = lending, Action = "Credit-Notice", Sender = t.ben, Quantity = "1000", ["X-Action"] = "Collateral" })
    world.transfer(coin, t.ben, lending, 1000, { ["X-Action"] = "Fund" })
    t.ben:send({ Target = watcher, Action = "Positions-Result", Price = "1", Lot = "1", Data = { under = { { account = t.ben.id, debt = "1000", collateral = "1" } } } })
    t.ben:send({ Target = watcher, Action = "Tick" })
    world.transfer(coin, t.ben, watcher, 10)
    assert.are.same({}, lending:state("Accounts"))
    assert.are.equal("0", watcher:state("Spent"))
    assert.are.equal(10000000, world.balance(coin, t.ben))
    invariant()
  end)

  it("conserves everything for 24 hours, with repeats, delays, refusals and a price that jumps", function()
    world.flaky(gold, 11)
    world.flaky(coin, 13)
    t.reorder(6, { duplicate = 0.2, delay = "5s" })
    local draw, users, price = world.chance(13), { t.ben, t.cleo }, 1000
    for round = 1, 24 * 15 do
      price = math.max(300, price + draw(-60, 60))
      say(price)
      local user, what = users[draw(1, 2)], draw(1, 8)
      if what <= 2 then
        deposit(user, draw(0, 400))
      elseif what <= 4 then
        borrow(user, draw(0, 20000))
      elseif what == 5 then
        world.transfer(coin, user, lending, draw(1, 9000), { ["X-Action"] = "Repay" })
      elseif what == 6 then
        user:send({ Target = lending, Action = "Withdraw", Quantity = tostring(draw(0, 300)) })
      elseif what == 7 then
        world.transfer(coin, user, lending, draw(1, 9000), { ["X-Action"] = "Liquidate", ["X-Account"] = users[draw(1, 2)].id, ["X-Min-Output"] = tostring(draw(0, 50)) })
      else
        user:send({ Target = lending, Action = "Claim", Token = draw(0, 1) == 0 and gold or coin })
      end
      t.clock.advance("4m")
      if round % 60 == 0 then
        t.clock.advance("1m")
        invariant()
      end
    end
    assert.is_true(watcher:state("Done") > 0)
  end)
end)

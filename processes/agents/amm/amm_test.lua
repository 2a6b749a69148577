--- The pool: what swaps give, what providers get, and who cannot take what is not theirs.
local world = require("test.world")

describe("amm", function()
  local gold, coin, pool

  setup(function()
    local rich = { [t.ada.id] = 10000000, [t.ben.id] = 1000000, [t.cleo.id] = 1000000 }
    gold, coin = world.token("GOLD", rich), world.token("COIN", rich)
    pool = t.spawn("amm")
    pool:send({ Action = "Configure", ["Token-A"] = gold, ["Token-B"] = coin, Fee = "30" })
    t.expect({ Action = "Configured" })
    world.transfer(gold, t.ada, pool, 1000000, { ["X-Action"] = "Provide" })
    world.transfer(coin, t.ada, pool, 4000000, { ["X-Action"] = "Provide" })
    pool:send({ Action = "Provide" })
  end)

  local function invariant()
    for token, side in pairs({ [gold] = "a", [coin] = "b" }) do
      world.conserved(token, 12000000)
      world.agrees(pool, token)
      local parts = pool:eval(([[
        local amount = require("lib.amount")
        local sum = amount.of(Reserves.%s) + require("lib.till").owed(%q)
        for _, deposit in pairs(Deposits) do sum = sum + amount.of(deposit.%s) end
        return tostring(sum)]]):format(side, token.id, side))
      assert.are.equal(world.balance(token, pool), math.tointeger(tonumber(parts)))
    end
  end

  it("gives the first provider the root of the product, less what is locked", function()
    assert.are.equal("1999000", pool:state("Shares['" .. t.ada.id .. "']"))
    assert.are.equal("2000000", pool:state("TotalShares"))
    invariant()
  end)

  it("swaps along the curve, after the fee, rounded down", function()
    world.transfer(gold, t.ben, pool, 1000, { ["X-Action"] = "Swap", ["X-Min-Output"] = "3984", ["X-Order"] = "7" })
    -- 997 * 4000000 / (1000000 + 997) = 3984.02…
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "3984", ["X-Action"] = "Swapped", ["X-Order"] = "7" })
    assert.are.equal(1003984, world.balance(coin, t.ben))
    assert.are.same({ a = "1001000", b = "3996016" }, pool:state("Reserves"))
    invariant()
  end)

  it("gives back what would be swapped for less than was asked", function()
    world.transfer(gold, t.ben, pool, 1000, { ["X-Action"] = "Swap", ["X-Min-Output"] = "3985", ["X-Order"] = "7" })
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "1000", ["X-Refund"] = "true", ["X-Order"] = "7" })
    assert.are.equal(1000000, world.balance(gold, t.ben))
    invariant()
  end)

  it("gives back whatever it cannot read", function()
    local n = 0
    for _, tags in ipairs({
      {}, { ["X-Action"] = "Gift" }, { ["X-Action"] = "Swap" }, { ["X-Action"] = "Swap", ["X-Min-Output"] = "-1" },
      { ["X-Action"] = "Swap", ["X-Min-Output"] = "1e3" }, { ["X-Action"] = "Swap", ["X-Min-Output"] = ("9"):rep(80) },
      { ["X-Action"] = "Swap", ["X-Min-Output"] = "1", ["X-Deadline"] = "5" },
      { ["X-Action"] = "Swap", ["X-Min-Output"] = "1", ["X-Deadline"] = "soon" },
    }) do
      n = n + 1
      world.transfer(gold, t.ben, pool, 10, tags)
      t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "10", ["X-Refund"] = "true" }, n)
    end
    assert.are.equal(1000000, world.balance(gold, t.ben))
    invariant()
  end)

  it("gives nothing for dust, and the dust back", function()
    -- One coin is a quarter of one gold: nothing.
    world.transfer(coin, t.ben, pool, 1, { ["X-Action"] = "Swap", ["X-Min-Output"] = "0" })
    assert.are.equal(1000000, world.balance(coin, t.ben))
    invariant()
  end)

  it("does not believe a notice that is not the token's", function()
    local before = pool:state("Reserves")
    t.ben:send({ Target = pool, Action = "Credit-Notice", Sender = t.ben, Quantity = "1000000", ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
    -- A token of the attacker's own says so, too; and a process that claims to be the token.
    local fake = world.token("FAKE", { [t.ben.id] = 1000000 })
    world.transfer(fake, t.ben, pool, 1000000, { ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
    t.ben:send({ Target = pool, Action = "Credit-Notice", ["From-Process"] = gold, From = t.ben, Sender = t.ben, Quantity = "5", ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
    assert.are.same(before, pool:state("Reserves"))
    invariant()
  end)

  it("does not take an answer to a payment from anybody but the token", function()
    t.auto = false
    world.transfer(gold, t.ben, pool, 1000, { ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
    t.step()
    t.step()
    t.auto = true
    for reference in pairs(pool:state("Till.payments")) do
      for _, action in ipairs({ "Transfer-Error", "Debit-Notice" }) do
        t.ben:send({ Target = pool, Action = action, ["X-Reference"] = reference })
      end
    end
    t.run()
    assert.are.same({}, pool:state("Till.owed"))
    invariant()
  end)

  it("takes a notice that comes twice once", function()
    t.faults({ duplicate = 0.999 }, 1)
    world.transfer(gold, t.ben, pool, 1000, { ["X-Action"] = "Swap", ["X-Min-Output"] = "1" })
    assert.are.equal(1003984, world.balance(coin, t.ben))
    invariant()
  end)

  it("takes what is in the ratio and gives the rest back", function()
    world.transfer(gold, t.ben, pool, 1000, { ["X-Action"] = "Provide" })
    t.ben:send({ Target = pool, Action = "Provide" })
    t.expect({ Action = "Provide-Error", Target = t.ben })
    world.transfer(coin, t.ben, pool, 5000, { ["X-Action"] = "Provide" })
    t.ben:send({ Target = pool, Action = "Provide" })
    t.expect({ Action = "Provided", Shares = "2000", A = "1000", B = "4000" })
    assert.are.equal(996000, world.balance(coin, t.ben))
    t.ben:send({ Target = pool, Action = "Withdraw", Quantity = "2001" })
    t.expect({ Action = "Withdraw-Error" })
    t.ben:send({ Target = pool, Action = "Withdraw", Quantity = "2000" })
    assert.are.equal(1000000, world.balance(coin, t.ben))
    invariant()
  end)

  it("cannot be made so dear that the next provider gets nothing", function()
    local a, b = world.token("A", { [t.ben.id] = 100000000, [t.cleo.id] = 100000 }), world.token("B", { [t.ben.id] = 100000000, [t.cleo.id] = 100000 })
    local small = t.spawn("amm")
    small:send({ Action = "Configure", ["Token-A"] = a, ["Token-B"] = b })
    for _, token in ipairs({ a, b }) do
      world.transfer(token, t.ben, small, 1000, { ["X-Action"] = "Provide" })
    end
    t.ben:send({ Target = small, Action = "Provide" })
    t.expect({ Action = "Provide-Error", Target = t.ben })
    -- A gift does not change the reserves: it goes back.
    world.transfer(a, t.ben, small, 50000000)
    assert.are.equal(99999000, world.balance(a, t.ben))
  end)

  it("chooses its pair once, and by its owner", function()
    t.ben:send({ Target = pool, Action = "Configure", ["Token-A"] = coin, ["Token-B"] = gold })
    pool:send({ Action = "Configure", ["Token-A"] = coin, ["Token-B"] = gold })
    assert.are.equal(gold.id, pool:state("Pair.a"))
  end)

  it("loses nothing in hundreds of random actions, with repeats, another order and a token that refuses", function()
    world.flaky(gold, 7)
    world.flaky(coin, 11)
    t.reorder(3, { duplicate = 0.2, delay = "1s" })
    local draw = world.chance(42)
    local users = { t.ada, t.ben, t.cleo }
    local function product()
      return math.tointeger(tonumber(pool:eval("local a = require('lib.amount') return tostring(a.share(a.of(Reserves.a) * a.of(Reserves.b), a.of('1000000'), a.of(TotalShares) * a.of(TotalShares)))")))
    end
    local before = product()
    for round = 1, 300 do
      local user, token = users[draw(1, 3)], draw(0, 1) == 0 and gold or coin
      local what = draw(1, 10)
      if what <= 6 then
        world.transfer(token, user, pool, draw(0, 20000), { ["X-Action"] = "Swap", ["X-Min-Output"] = tostring(draw(0, 9000)) })
      elseif what <= 8 then
        world.transfer(token, user, pool, draw(1, 5000), { ["X-Action"] = "Provide" })
        user:send({ Target = pool, Action = "Provide" })
      elseif what == 9 then
        user:send({ Target = pool, Action = "Withdraw", Quantity = tostring(draw(0, 3000)) })
      else
        user:send({ Target = pool, Action = draw(0, 1) == 0 and "Withdraw-Deposit" or "Claim", Token = token })
      end
      if round % 50 == 0 then
        t.clock.advance("1m")
        invariant()
        -- What a share stands for never gets less.
        local now = product()
        assert.is_true(now >= before, now .. " < " .. before)
        before = now
      end
    end
  end)
end)

--- The notifier: what subscribers are told, what it costs them, and when it ends.
local world = require("test.world")

describe("notifier", function()
  local coin, ledger, notifier
  local SUPPLY = 3000000

  setup(function()
    coin = world.token("COIN", { [t.ada.id] = 1000000, [t.ben.id] = 1000000, [t.cleo.id] = 1000000 })
    ledger = world.token("LEDGER", { [t.dan.id] = 1000, [t.eve.id] = 1000 })
    notifier = t.spawn("notifier")
    notifier:send({ Action = "Configure", Token = coin, Ledger = ledger, Price = "10", Period = "3600000" })
    t.expect({ Action = "Configured" })
  end)

  local function subscribe(who, quantity, watch)
    return world.transfer(coin, who, notifier, quantity, { ["X-Action"] = "Subscribe", ["X-Watch"] = watch })
  end
  local function invariant()
    local sum = notifier:eval([[
      local amount = require("lib.amount")
      local sum = amount.of(Earned) + require("lib.till").owed(Plan.token)
      for _, one in pairs(Subscribers) do sum = sum + amount.of(one.balance) end
      return tostring(sum)]])
    assert.are.equal(world.balance(coin, notifier), math.tointeger(tonumber(sum)))
    world.conserved(coin, SUPPLY)
    world.agrees(notifier, coin)
  end

  it("tells of what moved, to who pays", function()
    subscribe(t.ben, 25, t.dan.id)
    t.expect({ Action = "Subscribed", Target = t.ben, Balance = "15" })
    t.clock.advance("1m")
    t.expect_none({ Action = "Notification" })
    world.transfer(ledger, t.dan, t.eve, 300)
    t.clock.advance("3m")
    t.expect({ Action = "Notification", Target = t.ben, Account = t.dan, Before = "1000", Now = "700" }, 1)
    t.expect({ Action = "Notification" }, 1)
    invariant()
  end)

  it("charges each period when it begins, and ends when the rest pays no other", function()
    subscribe(t.ben, 25, t.dan.id)
    t.clock.advance("61m")
    assert.are.equal("5", notifier:state("Subscribers['" .. t.ben.id .. "'].balance"))
    t.clock.advance("1h")
    t.expect({ Action = "Subscription-Ended", Target = t.ben }, 1)
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "5", ["X-Refund"] = "true" }, 1)
    world.transfer(ledger, t.dan, t.eve, 1)
    t.clock.advance("5m")
    t.expect_none({ Action = "Notification" })
    notifier:send({ Action = "Withdraw" })
    assert.are.equal(1000020, world.balance(coin, t.ada))
    invariant()
  end)

  it("gives back what was not used when it is asked to", function()
    subscribe(t.ben, 100)
    subscribe(t.ben, 50)
    t.ben:send({ Target = notifier, Action = "Unsubscribe" })
    t.ben:send({ Target = notifier, Action = "Unsubscribe" })
    assert.are.equal(999990, world.balance(coin, t.ben))
    t.expect({ Action = "Unsubscribe-Error" }, 1)
    invariant()
  end)

  it("gives back what subscribes to nothing, and believes no stranger", function()
    subscribe(t.ben, 9)
    subscribe(t.ben, 20, "nobody")
    world.transfer(coin, t.ben, notifier, 20)
    world.transfer(ledger, t.dan, notifier, 20, { ["X-Action"] = "Subscribe" })
    t.ben:send({ Target = notifier, Action = "Credit-Notice", Sender = t.ben, Quantity = "1000", ["X-Action"] = "Subscribe" })
    assert.are.same({}, notifier:state("Subscribers"))
    assert.are.equal(1000000, world.balance(coin, t.ben))
    subscribe(t.ben, 20, t.dan.id)
    t.clock.advance("1m")
    t.eve:send({ Target = notifier, Account = t.dan, Balance = "5", ["X-Reference"] = "1" })
    t.eve:send({ Target = notifier, Action = "Tick" })
    t.cleo:send({ Target = notifier, Action = "Withdraw" })
    t.expect_none({ Action = "Notification" })
    invariant()
  end)

  it("has many subscribers: what one does makes no difference to another", function()
    for n = 1, 60 do
      local who = t.account("subscriber-" .. n)
      coin:eval(("Balances[%q] = '100' Balances[%q] = tostring(math.tointeger(tonumber(Balances[%q])) - 100)"):format(who.id, t.cleo.id, t.cleo.id))
      subscribe(who, 100, n % 2 == 0 and t.dan.id or who.id)
    end
    t.clock.advance("2m")
    t.account("subscriber-2"):send({ Target = notifier, Action = "Unsubscribe" })
    world.transfer(ledger, t.dan, t.eve, 300)
    t.clock.advance("3m")
    t.expect({ Action = "Notification", Account = t.dan, Now = "700" }, 29)
    invariant()
  end)

  it("conserves everything for 24 hours, with repeats, delays and a token that refuses", function()
    world.flaky(coin, 7)
    t.reorder(12, { duplicate = 0.2, delay = "20s" })
    local draw, users = world.chance(33), { t.ben, t.cleo, t.dan }
    coin:eval(("Balances[%q] = '500000' Balances[%q] = '500000'"):format(t.dan.id, t.ada.id))
    for hour = 1, 24 do
      for _ = 1, 8 do
        local user, what = users[draw(1, 3)], draw(1, 6)
        if what <= 3 then
          subscribe(user, draw(0, 30), draw(0, 1) == 0 and t.dan.id or t.eve.id)
        elseif what == 4 then
          user:send({ Target = notifier, Action = draw(0, 1) == 0 and "Unsubscribe" or "Claim", Token = coin })
        elseif what == 5 then
          world.transfer(ledger, t.dan, t.eve, draw(0, 3))
        else
          notifier:send({ Action = "Withdraw" })
        end
        t.clock.advance("7m")
      end
      t.clock.advance("4m")
      if hour % 6 == 0 then
        invariant()
      end
    end
    t.expect({ Action = "Notification", Ledger = ledger })
    local spent = 0
    for _, one in ipairs(t.sent({ Action = "Notification" })) do
      assert.are_not.equal(one.Before, one.Now)
      spent = spent + 1
    end
    print(spent .. " notifications")
  end)
end)

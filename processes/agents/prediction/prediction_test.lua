--- The market: sets, shares, who decides, what is paid, and what is paid when nobody decides.
local world = require("test.world")

describe("prediction market", function()
  local coin, market
  local SUPPLY = 3000000

  setup(function()
    coin = world.token("COIN", { [t.ada.id] = 1000000, [t.ben.id] = 1000000, [t.cleo.id] = 1000000 })
    market = t.spawn("prediction")
    market:send({
      Action = "Configure", Token = coin, Question = "Did it rain?", Closes = tostring(t.clock.now() + 3600000), ["Invalid-After"] = tostring(t.clock.now() + 86400000),
      Feeders = t.dan.id .. "," .. t.eve.id .. "," .. t.account("fay").id, Quorum = "2",
    })
    t.expect({ Action = "Configured" })
  end)

  local function mint(who, quantity, tags)
    tags = tags or { ["X-Action"] = "Mint" }
    return world.transfer(coin, who, market, quantity, tags)
  end
  local function say(who, outcome)
    return world.feed(market, who, "outcome", outcome)
  end
  local function invariant()
    local sets = market:eval([[
      local amount, till = require("lib.amount"), require("lib.till")
      for _, outcome in ipairs(Market.outcomes) do
        local sum = amount.zero
        for _, quantity in pairs(Shares[outcome]) do sum = sum + amount.of(quantity) end
        -- Until it is resolved, there are as many shares of each outcome as sets.
        assert(Resolved or sum == amount.of(Sets), outcome)
        assert(Resolved ~= outcome or sum <= amount.of(Sets), "more could be redeemed than there is")
      end
      return tostring(amount.of(Sets) + till.owed(Market.token))]])
    assert.are.equal(world.balance(coin, market), math.tointeger(tonumber(sets)))
    world.conserved(coin, SUPPLY)
    world.agrees(market, coin)
  end

  it("makes complete sets, moves shares, and makes the token of sets again", function()
    mint(t.ben, 1000)
    t.ben:send({ Target = market, Action = "Move", Outcome = "no", Quantity = "400", Recipient = t.cleo })
    t.expect({ Action = "Shares-Notice", Target = t.cleo, Outcome = "no", Quantity = "400" })
    t.ben:send({ Target = market, Action = "Merge", Quantity = "601" })
    t.expect({ Action = "Merge-Error" })
    t.ben:send({ Target = market, Action = "Merge", Quantity = "600" })
    assert.are.equal(999600, world.balance(coin, t.ben))
    t.ben:send({ Target = market, Action = "Move", Outcome = "yes", Quantity = "400", Recipient = t.ben })
    assert.are.equal("400", market:state("Shares.yes['" .. t.ben.id .. "']"))
    invariant()
  end)

  it("pays who was right, when two of three feeders say so after it closed", function()
    mint(t.ben, 1000)
    t.ben:send({ Target = market, Action = "Move", Outcome = "no", Quantity = "1000", Recipient = t.cleo })
    say(t.dan, "yes") -- too early to know
    say(t.eve, "yes")
    t.clock.advance("61m")
    assert.is_nil(market:state("Resolved"))
    mint(t.ben, 5)
    assert.are.equal(999000, world.balance(coin, t.ben))
    say(t.dan, "yes")
    say(t.ben, "no")
    say(t.account("fay"), "no")
    assert.is_nil(market:state("Resolved"))
    say(t.eve, "yes")
    assert.are.equal("yes", market:state("Resolved"))
    t.cleo:send({ Target = market, Action = "Redeem" })
    t.ben:send({ Target = market, Action = "Redeem" })
    t.ben:send({ Target = market, Action = "Redeem" })
    assert.are.equal(1000000, world.balance(coin, t.ben))
    assert.are.equal(1000000, world.balance(coin, t.cleo))
    assert.are.equal(0, world.balance(coin, market))
    -- What is decided is decided.
    say(t.eve, "no")
    assert.are.equal("yes", market:state("Resolved"))
    invariant()
  end)

  it("pays everybody a part when the feeders say invalid, or nothing in time", function()
    mint(t.ben, 1001)
    t.ben:send({ Target = market, Action = "Move", Outcome = "no", Quantity = "500", Recipient = t.cleo })
    t.clock.advance("61m")
    say(t.dan, "maybe")
    say(t.eve, "maybe")
    t.ben:send({ Target = market, Action = "Redeem" })
    t.expect({ Action = "Redeem-Error" })
    t.clock.advance("24h")
    assert.are.equal("invalid", market:state("Resolved"))
    t.ben:send({ Target = market, Action = "Redeem" })
    t.cleo:send({ Target = market, Action = "Redeem" })
    assert.are.equal(1000000 - 1001 + 751, world.balance(coin, t.ben))
    assert.are.equal(1000250, world.balance(coin, t.cleo))
    invariant()
  end)

  it("gives back what mints nothing", function()
    for _, tags in ipairs({ {}, { ["X-Action"] = "Bet" }, { ["X-Action"] = "Mint", ["X-Refund"] = "no" } }) do
      mint(t.ben, 10, tags)
    end
    t.ben:send({ Target = market, Action = "Claim", Token = coin }) -- a refund is never refunded: it is claimed
    t.ben:send({ Target = market, Action = "Credit-Notice", Sender = t.ben, Quantity = "10", ["X-Action"] = "Mint" })
    for _, quantity in ipairs({ "0", "-1", "1.5", ("9"):rep(50), "" }) do
      t.ben:send({ Target = market, Action = "Move", Outcome = "yes", Quantity = quantity, Recipient = t.cleo })
      t.ben:send({ Target = market, Action = "Merge", Quantity = quantity })
    end
    t.expect({ Action = "Move-Error" }, 5)
    assert.are.equal(1000000, world.balance(coin, t.ben))
    invariant()
  end)

  it("does not begin with feeders of whom two outcomes could have enough", function()
    local other = t.spawn("prediction")
    other:send({ Action = "Configure", Token = coin, Question = "?", Closes = tostring(t.clock.now() + 1000), ["Invalid-After"] = tostring(t.clock.now() + 2000), Feeders = t.dan.id .. "," .. t.eve.id, Quorum = "1" })
    t.expect({ Action = "Configure-Error", From = other })
  end)

  it("conserves everything for 24 hours, with repeats, delays and a token that refuses", function()
    world.flaky(coin, 7)
    t.reorder(8, { duplicate = 0.2, delay = "5s" })
    local draw, users = world.chance(21), { t.ada, t.ben, t.cleo }
    for round = 1, 300 do
      local user, what, quantity = users[draw(1, 3)], draw(1, 6), tostring(draw(0, 3000))
      if what <= 2 then
        mint(user, quantity)
      elseif what <= 4 then
        user:send({ Target = market, Action = "Move", Outcome = draw(0, 1) == 0 and "yes" or "no", Quantity = quantity, Recipient = users[draw(1, 3)] })
      elseif what == 5 then
        user:send({ Target = market, Action = "Merge", Quantity = quantity })
      else
        user:send({ Target = market, Action = draw(0, 1) == 0 and "Claim" or "Redeem", Token = coin })
      end
      t.clock.advance(round < 150 and "20s" or "5m")
      if round % 50 == 0 then
        t.clock.advance("1m")
        invariant()
      end
    end
    t.clock.advance("10h")
    say(t.account("fay"), "no")
    say(t.eve, "no")
    for _ = 1, 6 do
      for _, user in ipairs(users) do
        user:send({ Target = market, Action = "Redeem" })
        user:send({ Target = market, Action = "Claim", Token = coin })
        t.clock.advance("1m")
      end
    end
    invariant()
    assert.are.equal("no", market:state("Resolved"))
    assert.are.equal(0, world.balance(coin, market))
  end)
end)

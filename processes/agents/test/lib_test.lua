--- What the agents share, alone.
local world = require("test.world")

describe("amounts", function()
  local process = t.spawn("amm")

  local function value(expression)
    return process:state("(function() local a = require('lib.amount') local function s(x, y) return x and tostring(x) or y end return " .. expression .. " end)()")
  end

  it("are read from digits alone", function()
    assert.are.equal("7", value("s(a.parse('007'))"))
    assert.are.equal("0", value("s(a.parse('0'))"))
    assert.are.equal(("9"):rep(38), value(("s(a.parse('%s'))"):format(("9"):rep(38))))
    for _, text in ipairs({ "''", "' 1'", "'1 '", "'+1'", "'-1'", "'1.0'", "'1e3'", "'0x1'", "'½'", "'1\\0'", "1", "nil", "{}", "'1" .. ("0"):rep(38) .. "'" }) do
      assert.matches("Quantity", value("s(a.parse(" .. text .. "))"), text)
    end
    assert.matches("greater than 0", value("s(a.positive('000'))"))
  end)

  it("are shared without being made more", function()
    assert.are.equal("3", value("s(a.share(a.of('7'), a.of('1'), a.of('2')))"))
    assert.are.equal("4", value("s(a.share_up(a.of('7'), a.of('1'), a.of('2')))"))
    local most = ("9"):rep(38)
    assert.are.equal(most, value(("s(a.share(a.of('%s'), a.of('%s'), a.of('%s')))"):format(most, most, most)))
  end)

  it("have a root that is rounded down", function()
    for number, root in pairs({ ["0"] = "0", ["1"] = "1", ["3"] = "1", ["4"] = "2", ["99"] = "9", ["1000000000000000000000000"] = "1000000000000" }) do
      assert.are.equal(root, value(("s(a.root(a.of('%s')))"):format(number)))
    end
    local most = ("9"):rep(38)
    assert.are.equal(most, value(("s(a.root(a.of('%s') * a.of('%s')))"):format(most, most)))
  end)
end)

describe("the till", function()
  it("remembers a bounded number of messages, the newest", function()
    local token = world.token("TOKEN", { [t.ada.id] = 1000 })
    token:eval("for n = 1, 5000 do Handlers.list[1].pattern({ From = 'somebody', Owner = 'other', Reference = tostring(n) }) end")
    assert.are.equal(4096, token:eval("return #Utils.keys(Seen.known)"))
    assert.is_true(token:eval("return Handlers.list[1].pattern({ From = 'somebody', Owner = 'other', Reference = '5000' })"))
    assert.is_false(token:eval("return Handlers.list[1].pattern({ From = 'another', Owner = 'other', Reference = '5000' })"))
  end)

  it("owes what it cannot send, when a thousand payments wait", function()
    local token = world.token("TOKEN", { [t.ada.id] = 100000 })
    local other = world.token("OTHER", {})
    local pool = t.spawn("amm")
    pool:send({ Action = "Configure", ["Token-A"] = token, ["Token-B"] = other })
    -- The token does not answer any more, and the pool has a thousand and more to give back.
    token:eval("Handlers.prepend('deaf', 'Transfer', function() end)")
    pool:eval(("Till.held[%q] = '100000' local till, a = require('lib.till'), require('lib.amount') for n = 1, 1001 do till.pay(%q, %q, a.of('1')) end"):format(token.id, token.id, t.ben.id))
    assert.are.equal("1", pool:state(("Till.owed[%q][%q]"):format(token.id, t.ben.id)))
    assert.has_error(function()
      pool:eval(("require('lib.till').pay(%q, %q, require('lib.amount').of('100001'))"):format(token.id, t.ben.id))
    end)
  end)

  it("sends no refund to and fro between two that do not want it", function()
    local token, other = world.token("TOKEN", { [t.ada.id] = 1000 }), world.token("OTHER", {})
    local one, two = t.spawn("amm"), t.spawn("amm")
    for _, pool in ipairs({ one, two }) do
      pool:send({ Action = "Configure", ["Token-A"] = token, ["Token-B"] = other })
    end
    token:eval(("Balances[%q] = '10' Balances[%q] = '990'"):format(one.id, t.ada.id))
    one:eval(("Till.held[%q] = '10' require('lib.till').pay(%q, %q, require('lib.amount').of('10'))"):format(token.id, token.id, two.id))
    t.expect({ Action = "Transfer", Target = token }, 2) -- there, and back
    assert.are.equal("10", one:state(("Till.owed[%q][%q]"):format(token.id, two.id)))
  end)
end)

describe("ticks", function()
  it("are what the scheduler signed, each once", function()
    local bot = t.spawn("dca")
    bot:eval(("Ticked = 0 ao.isTick = function(msg) return msg.From == %q and msg.Tags['Tick-Due'] ~= nil end require('lib.ticks')('probe', function() Ticked = Ticked + 1 end)"):format(t.cleo.id))
    bot:eval("Handlers.remove('dca.tick')")
    for _, due in ipairs({ "1000", "1000", "2000" }) do
      t.cleo:send({ Target = bot, ["Tick-Name"] = "buy", ["Tick-Due"] = due })
      t.ben:send({ Target = bot, ["Tick-Name"] = "buy", ["Tick-Due"] = due, Cron = "true", Action = "Tick" })
    end
    assert.are.equal(2, bot:state("Ticked"))
  end)

  it("come of timers and of crons, and of nobody else", function()
    for agent, handler in pairs({ dca = "dca.tick", rfq = "rfq.tick" }) do
      local bot = t.spawn(agent)
      bot:eval("Ticked = 0 require('lib.ticks')('probe', function() Ticked = Ticked + 1 end)")
      assert.is_true(bot:eval(("return Handlers.remove(%q) or true"):format(handler)))
      t.ben:send({ Target = bot, Action = "Tick", Cron = "true", ["Tick-Name"] = "timer-1", ["Tick-Due"] = "1000" })
      assert.are.equal(0, bot:state("Ticked"))
      t.clock.advance("3m")
      assert.are.equal(3, bot:state("Ticked"))
    end
  end)
end)

describe("feeds", function()
  local process, feeders
  setup(function()
    process = t.spawn("lending")
    feeders = {}
    for n = 1, 5 do feeders[n] = t.account("feeder-" .. n) end
    process:eval(([[
      List = { %q, %q, %q, %q, %q }
      assert(require("lib.feeds").declare("price", { feeders = List, quorum = 3, max_age = 60000, kind = "number" }))
      assert(require("lib.feeds").declare("match", { feeders = List, quorum = 3, kind = "outcome" }))]]):format(
      feeders[1].id, feeders[2].id, feeders[3].id, feeders[4].id, feeders[5].id))
  end)

  local function number()
    return process:state(("(function() local x, y = require('lib.feeds').number('price', %d) return x and tostring(x) or y end)()"):format(t.clock.now()))
  end
  local function outcome()
    return process:state(("require('lib.feeds').outcome('match', %d)"):format(t.clock.now()))
  end

  it("give the median of what is fresh, if enough is", function()
    world.feed(process, feeders[1], "price", 100)
    world.feed(process, feeders[2], "price", 102)
    assert.matches("2 of 5", number())
    t.clock.advance("30s")
    world.feed(process, feeders[3], "price", 1)
    assert.are.equal("100", number())
    world.feed(process, feeders[4], "price", 104)
    assert.are.equal("100", number()) -- of four, the lower one in the middle
    world.feed(process, feeders[5], "price", 999999)
    assert.are.equal("102", number())
    t.clock.advance("31s")
    assert.are.equal("104", number())
    t.clock.advance("30s")
    assert.matches("0 of 5", number())
  end)

  it("count each feeder once, with its newest word", function()
    for _ = 1, 3 do world.feed(process, feeders[1], "price", 100) end
    assert.matches("1 of 5", number())
    for n = 1, 3 do world.feed(process, feeders[n], "match", "yes") end
    assert.are.equal("yes", outcome())
    world.feed(process, feeders[1], "match", "no")
    assert.is_nil(outcome())
  end)

  it("hear no one who is not listed, nothing of other names, and nothing that is no number", function()
    world.feed(process, t.ben, "price", 100)
    world.feed(process, feeders[1], "prices", 100)
    for _, value in ipairs({ "", "-1", "1.5", "x", ("9"):rep(39), ("9"):rep(300) }) do
      world.feed(process, feeders[1], "price", value)
    end
    for _, fields in ipairs({ { ["Feed-Time"] = "now" }, { ["Feed-Sequence"] = "-1" }, { ["Feed-Sequence"] = ("9"):rep(20) } }) do
      world.feed(process, feeders[1], "price", 100, fields)
    end
    assert.matches("0 of 5", number())
    t.expect_none(function(message) return message.Action ~= nil and message.From == process.id end)
  end)

  it("are declared with feeders that differ, and a quorum that can be had", function()
    for _, feed in ipairs({
      "{ feeders = {}, quorum = 1, kind = 'number' }", "{ feeders = { 'a', 'a' }, quorum = 1, kind = 'number' }",
      "{ feeders = { 'a' }, quorum = 2, kind = 'number' }", "{ feeders = { 'a', 'b' }, quorum = 1, kind = 'outcome' }",
    }) do
      assert.is_nil(process:state("require('lib.feeds').declare('x', " .. feed .. ")"))
    end
    -- Another list of feeders keeps what those said that are still on it.
    world.feed(process, feeders[1], "price", 7)
    process:eval("require('lib.feeds').declare('price', { feeders = { List[1] }, quorum = 1, max_age = 60000, kind = 'number' })")
    assert.are.equal("7", number())
  end)
end)

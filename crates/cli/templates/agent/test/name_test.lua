-- `pirn test` runs this: every test on a network of its own, with a clock that goes when it is told to.
describe("{{name}}", function()
  local agent, token

  setup(function()
    -- Another process to act on: a token that only takes notes.
    token = t.spawn({ name = "token", code = "Handlers.add('all', function() return true end, function() end)" })
    agent = t.spawn("{{name}}") -- as pirn.toml has it
    agent:send({ Action = "Configure", Token = token, Recipient = t.ben, Amount = 5, Budget = 12 })
  end)

  it("takes no plan that lacks something", function()
    agent:send({ Action = "Configure", Token = token })
    t.expect({ Action = "Configure-Error" })
    assert.are.equal(12, agent:state("Plan.budget"))
  end)

  it("spends on every tick, and never more than its budget", function()
    t.clock.advance("5m")
    t.expect({ Action = "Transfer", Target = token, Recipient = t.ben, Quantity = "5" }, 2)
    assert.are.equal(10, agent:state("Spent"))
  end)

  it("does nothing on a stranger's tick", function()
    t.ben:send({ Target = agent, Action = "Tick" })
    t.expect_none({ Action = "Transfer" })
  end)

  it("stops when its token refuses", function()
    t.clock.advance("1m")
    t.as(token, function()
      agent:send({ Action = "Transfer-Error" })
    end)
    assert.is_true(agent:state("Paused"))
    assert.are.equal(0, agent:state("Spent"))
  end)
end)

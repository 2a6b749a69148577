describe("{{name}}", function()
  local agent

  before_each(function()
    agent = t.spawn({ source = "src/{{name}}.lua" })
  end)

  local function configure()
    agent:send({ Action = "Configure", Token = "a-token", Recipient = "somebody", Amount = "5", Budget = "12" })
  end

  it("takes a plan from its owner", function()
    configure()
    assert.are.equal(12, agent:eval("return Plan.budget"))
  end)

  it("takes no plan that lacks something", function()
    agent:send({ Action = "Configure", Token = "a-token" })
    assert.are.equal("none", agent:eval("return Plan and 'some' or 'none'"))
  end)

  it("does nothing on a stranger's tick", function()
    configure()
    agent:send({ Action = "Tick" })
    assert.are.equal(0, agent:eval("return Spent"))
  end)
end)

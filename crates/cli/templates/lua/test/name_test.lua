-- `pirn test` runs this: every test on a network of its own, with a clock that goes when it is told to.
describe("{{name}}", function()
  local process

  setup(function()
    process = t.spawn("{{name}}") -- as pirn.toml has it
  end)

  it("counts up", function()
    process:send({ Action = "Inc", By = 2 })
    process:send({ Action = "Inc" })
    t.expect({ Action = "Inc-Result", Data = "3" })
    assert.are.equal(3, process:state("Count"))
  end)

  it("refuses what is no number from 1 on", function()
    process:send({ Action = "Inc", By = -1 })
    t.expect({ Action = "Inc-Error" })
    assert.are.equal(0, process:state("Count"))
  end)

  it("counts the ticks of the clock", function()
    t.clock.advance("3m")
    assert.are.equal(3, process:state("Ticks"))
  end)

  it("tells anybody", function()
    t.ben:send({ Target = process, Action = "Get" })
    t.expect({ Action = "Get-Result", Data = "0", Target = t.ben })
  end)
end)

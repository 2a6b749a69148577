describe("{{name}}", function()
  local process

  before_each(function()
    process = t.spawn({ source = "src/{{name}}.lua" })
  end)

  it("counts up", function()
    process:send({ Action = "Inc", By = "2" })
    process:send({ Action = "Inc" })
    assert.are.equal(3, process:eval("return Count"))
  end)

  it("refuses what is no number from 1 on", function()
    process:send({ Action = "Inc", By = "-1" })
    assert.are.equal(0, process:eval("return Count"))
  end)

  it("counts the ticks of the clock", function()
    process:send({ Action = "Tick" })
    assert.are.equal(1, process:eval("return Ticks"))
  end)
end)

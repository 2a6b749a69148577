describe("{{name}}", function()
  local token

  before_each(function()
    token = t.spawn({ source = "src/{{name}}.lua" })
  end)

  it("begins with everything at its owner's", function()
    assert.are.equal("1000000000000000", token:eval("return Balances[Owner]"))
    assert.are.equal("1000000000000000", token:eval("return TotalSupply"))
  end)

  it("moves what is there", function()
    token:send({ Action = "Transfer", Recipient = "somebody", Quantity = "5" })
    assert.are.equal("5", token:eval("return Balances.somebody"))
  end)

  it("moves nothing that is not there", function()
    token:send({ Action = "Transfer", Recipient = "somebody", Quantity = "1000000000000001" })
    assert.are.equal("none", token:eval("return Balances.somebody or 'none'"))
  end)
end)

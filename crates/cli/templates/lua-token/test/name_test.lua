-- `pirn test` runs this: every test on a network of its own, with a clock that goes when it is told to.
describe("{{name}}", function()
  local token

  setup(function()
    token = t.spawn("{{name}}") -- as pirn.toml has it
  end)

  it("begins with everything at its owner's", function()
    assert.are.equal("1000000000000000", token:state("Balances[Owner]"))
    assert.are.equal("1000000000000000", token:state("TotalSupply"))
  end)

  it("moves what is there, and tells both", function()
    token:send({ Action = "Transfer", Recipient = t.ben, Quantity = "5" })
    t.expect({ Action = "Debit-Notice", Target = t.ada, Quantity = "5" })
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "5" })
    token:send({ Action = "Balance", Recipient = t.ben })
    t.expect({ Balance = "5" })
  end)

  it("moves nothing that is not there", function()
    token:send({ Action = "Transfer", Recipient = t.ben, Quantity = "1000000000000001" })
    t.expect({ Action = "Transfer-Error" })
    t.expect_none({ Action = "Credit-Notice" })
  end)

  it("lets nobody else mint", function()
    t.ben:send({ Target = token, Action = "Mint", Quantity = "1" })
    assert.are.equal("1000000000000000", token:state("TotalSupply"))
  end)
end)

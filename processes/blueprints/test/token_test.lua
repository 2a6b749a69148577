--- The blueprint token, on a network of its own: what moves, what does not, and what everybody is told.

describe("token", function()
  local token

  setup(function()
    token = t.spawn({ source = "processes/blueprints/token.lua" })
    token:eval(("Balances = { [%q] = '100' } TotalSupply = '100'"):format(t.ada.id))
  end)

  it("moves what the sender has, and tells both", function()
    t.send({ Target = token, Action = "Transfer", Recipient = t.ben, Quantity = "30", ["X-Note"] = "rent" })
    assert.are.same({ [t.ada.id] = "70", [t.ben.id] = "30" }, token:state("Balances"))
    t.expect({ Action = "Debit-Notice", Target = t.ada, Quantity = "30", Recipient = t.ben, ["X-Note"] = "rent" }, 1)
    t.expect({ Action = "Credit-Notice", Target = t.ben, Quantity = "30", Sender = t.ada, ["X-Note"] = "rent" }, 1)
  end)

  it("moves nothing that is not there", function()
    for _, quantity in ipairs({ "101", "0", "-1", "1.5", "x", ("9"):rep(77) }) do
      t.send({ Target = token, Action = "Transfer", Recipient = t.ben, Quantity = quantity })
    end
    t.expect({ Action = "Transfer-Error" }, 6)
    t.expect_none({ Action = "Credit-Notice" })
    assert.are.equal("100", token:state("Balances['" .. t.ada.id .. "']"))
  end)

  it("keeps the sum, whatever is sent in whatever order", function()
    t.reorder()
    for _ = 1, 10 do
      t.post({ Target = token, Action = "Transfer", Recipient = t.ben, Quantity = "7" })
      t.as(t.ben, function()
        t.post({ Target = token, Action = "Transfer", Recipient = t.cleo, Quantity = "3" })
      end)
    end
    t.run()
    local sum = 0
    for _, balance in pairs(token:state("Balances")) do
      sum = sum + math.tointeger(tonumber(balance))
    end
    assert.are.equal(100, sum)
  end)

  it("begins each test where setup left it", function()
    assert.are.equal("100", token:state("Balances['" .. t.ada.id .. "']"))
  end)

  describe("supply", function()
    it("is minted by the process alone", function()
      t.send({ Target = token, Action = "Mint", Quantity = "5" })
      t.expect({ Action = "Mint-Error" })
      t.send({ Target = token, Action = "Mint", Quantity = "5", From = token })
      assert.are.equal("105", token:state("TotalSupply"))
    end)

    it("gets less by what is burned", function()
      t.send({ Target = token, Action = "Burn", Quantity = "40" })
      assert.are.equal("60", token:state("TotalSupply"))
    end)
  end)
end)

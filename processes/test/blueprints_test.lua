local test, support = ...
local same = support.same

local function loaded(...)
  local process = support.process()
  for _, name in ipairs({ ... }) do
    process.blueprint(name)
  end
  return process
end

--- A message from somebody; gives what is sent: target, action and the named tag or Data.
local function ask(process, from, action, tags, data)
  tags = tags or {}
  tags.Action = action
  local outcome = process.from(from, { Tags = tags, Data = data or "" })
  if outcome.Error then
    error(outcome.Error, 2)
  end
  local out = {}
  for at, message in ipairs(outcome.Messages) do
    local sent = support.tags(message)
    out[at] = { message.Target, sent.Action or "-", sent.Error or sent.Quantity or message.Data }
  end
  return out, outcome.Messages
end

local function token()
  local process = loaded("token")
  process.eval("Balances = { a = '100', b = '5' } TotalSupply = '105' Name = 'Points'")
  return process
end
local function balances(process)
  return process.eval("return require('json').encode(Balances)")
end

test["a token begins with all of its supply with itself"] = function()
  local process = loaded("token")
  same(process.eval("return Balances[ao.id], TotalSupply"), "10000000000000000\t10000000000000000")
end
test["to load a token again changes no balance"] = function()
  local process = token()
  process.blueprint("token")
  same({ balances(process), process.eval("return TotalSupply") }, { '{"a":"100","b":"5"}', "105" })
end
test["Info and Balance and Balances and Total-Supply answer"] = function()
  local process = token()
  local _, info = ask(process, "x", "Info")
  same(support.tags(info[1]), { Name = "Points", Ticker = "PNTS", Logo = "", Denomination = "12" })
  same(ask(process, "a", "Balance"), { { "a", "-", "100" } })
  same(ask(process, "x", "Balance", { Recipient = "b" }), { { "x", "-", "5" } })
  same(ask(process, "x", "Balance", { Target = "a" }), { { "x", "-", "100" } })
  same(ask(process, "x", "Balance"), { { "x", "-", "0" } })
  same(ask(process, "x", "Balances"), { { "x", "-", '{"a":"100","b":"5"}' } })
  same(ask(process, "x", "Total-Supply"), { { "x", "Total-Supply", "105" } })
end
test["a transfer tells both, with the sender's X- tags"] = function()
  local process = token()
  local sent, messages = ask(process, "a", "Transfer", { Recipient = "c", Quantity = "30", ["X-Note"] = "n", Reference = "7" })
  same(sent, { { "a", "Debit-Notice", "30" }, { "c", "Credit-Notice", "30" } })
  same(support.tags(messages[1]), { Action = "Debit-Notice", Recipient = "c", Quantity = "30", ["X-Note"] = "n", ["X-Reference"] = "7" })
  same(support.tags(messages[2]), { Action = "Credit-Notice", Sender = "a", Quantity = "30", ["X-Note"] = "n" })
  same(balances(process), '{"a":"70","b":"5","c":"30"}')
end
test["Cast moves without a word"] = function()
  local process = token()
  same(ask(process, "a", "Transfer", { Recipient = "c", Quantity = "30", Cast = "true" }), {})
  same(balances(process), '{"a":"70","b":"5","c":"30"}')
end
test["who sends to themselves has what they had"] = function()
  local process = token()
  ask(process, "a", "Transfer", { Recipient = "a", Quantity = "30" })
  same(balances(process), '{"a":"100","b":"5"}')
end
test["an account with nothing is forgotten"] = function()
  local process = token()
  ask(process, "b", "Transfer", { Recipient = "a", Quantity = "5" })
  same(balances(process), '{"a":"105"}')
end

for _, row in ipairs({
  { "more than there is", { Recipient = "c", Quantity = "101" }, "Insufficient Balance!" },
  { "nothing", { Recipient = "c", Quantity = "0" }, "Quantity must be greater than 0" },
  { "less than nothing", { Recipient = "c", Quantity = "-1" }, "Quantity must be a whole number in decimal digits" },
  { "a fraction", { Recipient = "c", Quantity = "1.5" }, "Quantity must be a whole number in decimal digits" },
  { "hexadecimal", { Recipient = "c", Quantity = "0x1" }, "Quantity must be a whole number in decimal digits" },
  { "what would wrap around", { Recipient = "c", Quantity = "1" .. ("0"):rep(77) }, "Quantity is too large" },
  { "no quantity", { Recipient = "c" }, "Quantity is required" },
  { "no recipient", { Quantity = "1" }, "Recipient is required" },
}) do
  test["a transfer is refused, and moves nothing: " .. row[1]] = function()
    local process = token()
    local sent, messages = ask(process, "a", "Transfer", row[2])
    same(sent, { { "a", "Transfer-Error", row[3] } })
    same(support.tags(messages[1])["Message-Id"] ~= nil, true)
    same(balances(process), '{"a":"100","b":"5"}')
  end
end

test["zeros before a quantity are nothing"] = function()
  local process = token()
  ask(process, "a", "Transfer", { Recipient = "c", Quantity = "0030" })
  same(balances(process), '{"a":"70","b":"5","c":"30"}')
end
test["only the process mints"] = function()
  local process = token()
  same(ask(process, "a", "Mint", { Quantity = "1" }), { { "a", "Mint-Error", "Only the process itself can mint PNTS" } })
  ask(process, support.PROCESS, "Mint", { Quantity = "7" })
  same(process.eval("return Balances[ao.id], TotalSupply"), "7\t112")
end
test["a supply cannot wrap around"] = function()
  local process = token()
  process.eval("TotalSupply = tostring(require('.bint')(256).maxinteger())")
  same(ask(process, support.PROCESS, "Mint", { Quantity = "1" })[1][3], "The supply would be too large")
end
test["who burns has less, and so have all"] = function()
  local process = token()
  ask(process, "a", "Burn", { Quantity = "40" })
  same(process.eval("return Balances.a, TotalSupply"), "60\t65")
  same(ask(process, "b", "Burn", { Quantity = "6" })[1][3], "Insufficient Balance!")
end
test["transfers keep the sum"] = function()
  local process = token()
  for at = 1, 100 do
    local from, to = ({ "a", "b", "c" })[at % 3 + 1], ({ "b", "c", "a", "a" })[at % 4 + 1]
    ask(process, from, "Transfer", { Recipient = to, Quantity = tostring(at * 7 % 13) })
  end
  same(process.eval("local n = 0 for _, v in pairs(Balances) do n = n + tonumber(v) end return n"), "105")
end

test["a chat room tells every member"] = function()
  local process = loaded("chatroom")
  same(ask(process, "x", "Broadcast", nil, "hi")[1][2], "Broadcast-Error")
  ask(process, "x", "Register")
  ask(process, "x", "Register")
  ask(process, "y", "Register")
  same(ask(process, "x", "Broadcast", nil, "hi"), { { "x", "Broadcast-Notice", "hi" }, { "y", "Broadcast-Notice", "hi" }, { "x", "Broadcasted", "Broadcasted." } })
  ask(process, "y", "Unregister")
  same(#ask(process, "x", "Broadcast", nil, "hi"), 2)
end

local function staking()
  local process = token()
  process.blueprint("staking")
  process.eval("UnstakeDelay = 3")
  return process
end
test["staking needs a token"] = function()
  support.fails(function() loaded("staking") end, "load the blueprint token first")
end
test["what is staked comes back after the delay, not before"] = function()
  local process = staking()
  same(ask(process, "a", "Stake", { Quantity = "60" }), { { "a", "Staked", "60" } })
  same(process.eval("return Balances.a, Stakers.a.amount"), "40\t60")
  same(ask(process, "x", "Stakers"), { { "x", "-", '{"a":"60"}' } })
  same(ask(process, "a", "Unstake", { Quantity = "61" })[1][3], "Insufficient Stake!")
  ask(process, "a", "Unstake", { Quantity = "60" })
  same(process.eval("return Balances.a, Stakers.a"), "40\tnil")
  process.eval("return 1")
  same(process.eval("return Balances.a, Unstaking.a"), "100\tnil")
end
test["nobody stakes what they have not"] = function()
  same(ask(staking(), "b", "Stake", { Quantity = "6" })[1][3], "Insufficient Balance!")
end

test["stakers vote once, by their stake, until the deadline"] = function()
  local process = staking()
  process.blueprint("voting")
  process.eval("OnVote = function(target, approved) Said = target .. tostring(approved) end")
  ask(process, "a", "Stake", { Quantity = "60" })
  ask(process, "b", "Stake", { Quantity = "5" })
  local terms = { Target = "law", Side = "yay", Deadline = "4" }
  same(ask(process, "x", "Vote", terms)[1][3], "Only stakers vote")
  same(ask(process, "a", "Vote", { Target = "law", Side = "maybe", Deadline = "4" })[1][3], "Side must be yay or nay")
  same(ask(process, "a", "Vote", { Target = "law", Side = "yay" })[1][3], "Deadline must be a number of blocks from 1 to 262800")
  same(ask(process, "b", "Vote", { Target = "law", Side = "nay", Deadline = "4" })[1][2], "Voted")
  ask(process, "a", "Vote", { Target = "law", Side = "yay" })
  same(ask(process, "a", "Vote", { Target = "law", Side = "yay" })[1][3], "You voted already")
  same(process.eval("return Votes.law.yay, Votes.law.nay"), "60\t5")
  same(process.eval("return Said, Results.law.approved"), "lawtrue\ttrue")
end

test["credits follow the notices of their token, and of no other"] = function()
  local process = loaded("credits")
  support.fails(function() process.eval("Credits.send('x', 5)") end, "say which token first")
  process.eval("Credits.process = 'token'")
  same(process.send("Credits.send('x', 5)").Messages[1].Target, "token")
  support.fails(function() process.eval("Credits.send('x', 1.5)") end, "a quantity is a whole number")
  ask(process, "token", "Credit-Notice", { Quantity = "50", Sender = "s" })
  ask(process, "liar", "Credit-Notice", { Quantity = "50", Sender = "s" })
  ask(process, "token", "Debit-Notice", { Quantity = "20", Recipient = "r" })
  same(process.eval("return Credits.balance"), "30")
  process.eval("Credits.update()")
  ask(process, "token", "-", { Balance = "77", ["X-Reference"] = process.eval("return tostring(ao.reference)") })
  same(process.eval("return CRED.balance"), "77")
end

test["an arena takes bets, plays, and pays who is left"] = function()
  local process = loaded("arena")
  process.eval("PaymentToken = 'token' PaymentQty = '10' WaitTime = 5 GameTime = 1000 BonusQty = '1' playerInitState = function() return { energy = 1 } end")
  process.eval("StateChangeTime = Now + 6")
  ask(process, "l", "Register")
  same(ask(process, "liar", "Credit-Notice", { Sender = "p", Quantity = "10" }), {})
  same(ask(process, "token", "Credit-Notice", { Sender = "p", Quantity = "9" }), { { "p", "Payment-Rejected", "A bet is at least 10" }, { "token", "Transfer", "9" } })
  ask(process, "token", "Credit-Notice", { Sender = "p", Quantity = "10" })
  ask(process, "token", "Credit-Notice", { Sender = "q", Quantity = "12" })
  ask(process, "x", "Tick")
  same(process.eval("return GameMode, Players.p.energy, Winnings.q"), "Playing\t1\t12")
  local outcome = process.send("eliminatePlayer('q', 'p')")
  local paid = {}
  for _, message in ipairs(outcome.Messages) do
    local tags = support.tags(message)
    if tags.Action == "Transfer" then
      paid[#paid + 1] = { tags.Recipient, tags.Quantity }
    end
  end
  same({ paid, process.eval("return GameMode") }, { { { "p", "23" } }, "Waiting" })
end
test["an arena begins again when too few have paid"] = function()
  local process = loaded("arena")
  process.eval("WaitTime = 1 StateChangeTime = Now")
  ask(process, "l", "Register")
  same(process.eval("return GameMode, next(Players)"), "Waiting\tnil")
  local state = ask(process, "x", "GetGameState")
  same({ state[#state][2], state[#state][3]:match('"GameMode":"(%a+)"') }, { "GameState", "Waiting" })
end
test["an arena gives tokens only where it is the token, once"] = function()
  local process = loaded("arena")
  process.eval("PaymentToken = 'token'")
  same(ask(process, "x", "RequestTokens")[1][3], "This arena gives no tokens: ask token")
  process.blueprint("token")
  process.eval("PaymentToken = ao.id")
  same(ask(process, "x", "RequestTokens"), { { support.PROCESS, "Transfer", "10" } })
  same(ask(process, "x", "RequestTokens")[1][3], "You had your tokens already")
end

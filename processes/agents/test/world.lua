--- What the tests of agents share: tokens with a supply, chance of our own, and the sums that must hold.
local world = {}

--- A token that gives `balances[account] = number`, and takes each message of a process once.
function world.token(name, balances)
  local token = t.spawn({ source = "../blueprints/token.lua", name = name })
  token:load("lib/once.lua")
  local sum, list = 0, {}
  for account, quantity in pairs(balances) do
    sum = sum + quantity
    list[#list + 1] = ("[%q] = '%d'"):format(account, quantity)
  end
  token:eval(("Balances = { %s } TotalSupply = '%d' Ticker = %q"):format(table.concat(list, ", "), sum, name))
  return token
end

--- From now on the token refuses every n-th transfer of a process.
function world.flaky(token, every)
  token:eval(([[
    Flaky = 0
    Handlers.prepend("flaky", function(msg)
      if msg.Action ~= "Transfer" or msg.From == msg.Owner then return false end
      Flaky = Flaky + 1
      return Flaky %% %d == 0
    end, function(msg)
      msg.reply({ Action = "Transfer-Error", ["Message-Id"] = msg.Id, Error = "not now" })
    end)
    -- A repeat of what was refused is a repeat.
    for at, handler in ipairs(Handlers.list) do
      if handler.name == "once" then table.insert(Handlers.list, 1, table.remove(Handlers.list, at)) break end
    end]]):format(every))
end

local sequence = 0

--- A feeder says a value; its time is now, unless it is said.
function world.feed(process, feeder, name, value, fields)
  sequence = sequence + 1
  local message = { Target = process, Action = "Feed", ["Feed-Name"] = name, ["Feed-Value"] = tostring(value), ["Feed-Time"] = tostring(t.clock.now()), ["Feed-Sequence"] = tostring(sequence) }
  for field, given in pairs(fields or {}) do
    message[field] = given
  end
  return feeder:send(message)
end

function world.balance(token, who)
  return math.tointeger(tonumber(token:state(("Balances[%q] or '0'"):format(tostring(who.id or who)))))
end

--- Transfers as an account, with tags.
function world.transfer(token, from, to, quantity, tags)
  local message = { Target = token, Action = "Transfer", Recipient = to, Quantity = tostring(quantity) }
  for name, value in pairs(tags or {}) do
    message[name] = value
  end
  return t.as(from, function()
    return t.send(message)
  end)
end

--- Fails unless the token's balances are its supply, none below 0.
function world.conserved(token, supply)
  local sum = 0
  for account, quantity in pairs(token:state("Balances")) do
    local number = math.tointeger(tonumber(quantity))
    assert.is_true(number >= 0, account)
    sum = sum + number
  end
  assert.are.equal(supply, sum)
end

--- Fails unless the process has of the token what it thinks that it has.
function world.agrees(process, token)
  local held = process:state(("Till.held[%q] or '0'"):format(token.id))
  assert.are.equal(world.balance(token, process), math.tointeger(tonumber(held)))
  assert.are.equal(0, process:state("Till.count"), "payments are on their way")
end

--- Chance: the same numbers for the same seed, wherever.
function world.chance(seed)
  local state = seed * 2654435761 % 4294967296
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state >> 8) % (high - low + 1)
  end
end

return world

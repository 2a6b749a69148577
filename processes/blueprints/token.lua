--- A token: balances, and messages that move them.
---
--- Amounts are whole numbers in the smallest unit, as decimal text, up to 255 bits. What is set before this is loaded
--- stays: `Name`, `Ticker`, `Logo`, `Denomination`, `Balances`, `TotalSupply`. To load it again changes no balance.
---
--- Answers of a transfer: `Debit-Notice` to the sender and `Credit-Notice` to the recipient, with the sender's `X-` tags;
--- none with a `Cast` tag. What cannot be done is answered with `Transfer-Error`, and moves nothing.
local bint = require(".bint")(256)
local json = require("json")

Variant = "0.0.3"
Denomination = Denomination or 12
Ticker = Ticker or "PNTS"
Logo = Logo or ""
Balances = Balances or { [ao.id] = tostring(bint(10000) * bint.ipow(10, Denomination)) }

--- What can be counted: the largest positive number of 256 bits.
local MOST = bint.maxinteger()

--- The number of a text of digits: an integer where it is short, for integers are many times faster. Two of them add up
--- to an integer without wrapping around, and where one is longer, bint takes both.
local function number(text)
  return #text <= 18 and math.tointeger(text) or bint(text)
end

--- The number of a text of digits, or nil and why not.
local function amount(text)
  if type(text) ~= "string" then
    return nil, "Quantity is required"
  elseif not text:find("^%d+$") then
    return nil, "Quantity must be a whole number in decimal digits"
  end
  text = text:gsub("^0+(%d)", "%1")
  -- Longer texts would wrap around.
  if #text > 76 then
    return nil, "Quantity is too large"
  end
  return number(text)
end

local function balance(account)
  return number(Balances[account] or "0")
end

--- An account with nothing is none: strangers could fill the memory with them otherwise.
local function set_balance(account, value)
  Balances[account] = not bint.iszero(value) and tostring(value) or nil
end

if not TotalSupply then
  local sum = bint.zero()
  for _, value in pairs(Balances) do
    sum = sum + bint(value)
  end
  TotalSupply = tostring(sum)
end

local function refuse(msg, action, problem)
  msg.reply({ Action = action, ["Message-Id"] = msg.Id, Error = problem })
end

--- Reads `Quantity`, which must be more than nothing.
local function quantity_of(msg)
  local quantity, problem = amount(msg.Quantity)
  if quantity and bint.iszero(quantity) then
    return nil, "Quantity must be greater than 0"
  end
  return quantity, problem
end

Handlers.add("info", "Info", function(msg)
  msg.reply({ Name = Name, Ticker = Ticker, Logo = Logo, Denomination = tostring(Denomination) })
end)

Handlers.add("balance", "Balance", function(msg)
  local account = msg.Tags.Recipient or msg.Tags.Target or msg.From
  local has = Balances[account] or "0"
  msg.reply({ Balance = has, Ticker = Ticker, Account = account, Data = has })
end)

Handlers.add("balances", "Balances", function(msg)
  msg.reply({ Data = next(Balances) and json.encode(Balances) or "{}" })
end)

Handlers.add("totalSupply", "Total-Supply", function(msg)
  msg.reply({ Action = "Total-Supply", Data = TotalSupply, Ticker = Ticker })
end)

Handlers.add("transfer", "Transfer", function(msg)
  local recipient = msg.Recipient
  if type(recipient) ~= "string" or recipient == "" then
    return refuse(msg, "Transfer-Error", "Recipient is required")
  end
  local quantity, problem = quantity_of(msg)
  if not quantity then
    return refuse(msg, "Transfer-Error", problem)
  end
  local has = balance(msg.From)
  if has < quantity then
    return refuse(msg, "Transfer-Error", "Insufficient Balance!")
  end
  -- The sender's first: who sends to themselves has in the end what they had.
  set_balance(msg.From, has - quantity)
  set_balance(recipient, balance(recipient) + quantity)
  if msg.Cast then
    return
  end
  local moved = tostring(quantity)
  local debit = { Action = "Debit-Notice", Recipient = recipient, Quantity = moved, Data = "You sent " .. moved .. " to " .. recipient }
  local credit = { Target = recipient, Action = "Credit-Notice", Sender = msg.From, Quantity = moved, Data = "You received " .. moved .. " from " .. msg.From }
  for name, value in pairs(msg.Tags) do
    -- The two that answers are told apart by belong to each message.
    if name:sub(1, 2) == "X-" and name ~= "X-Reference" and name ~= "X-Origin" then
      debit[name], credit[name] = value, value
    end
  end
  msg.reply(debit)
  Send(credit)
end)

Handlers.add("mint", "Mint", function(msg)
  if msg.From ~= ao.id then
    return refuse(msg, "Mint-Error", "Only the process itself can mint " .. Ticker)
  end
  local quantity, problem = quantity_of(msg)
  if not quantity then
    return refuse(msg, "Mint-Error", problem)
  end
  local supply = number(TotalSupply)
  if MOST - supply < quantity then
    return refuse(msg, "Mint-Error", "The supply would be too large")
  end
  local account = msg.Recipient or msg.From
  set_balance(account, balance(account) + quantity)
  TotalSupply = tostring(supply + quantity)
  msg.reply({ Action = "Mint-Notice", Quantity = tostring(quantity), Account = account, Data = "Minted " .. tostring(quantity) })
end)

Handlers.add("burn", "Burn", function(msg)
  local quantity, problem = quantity_of(msg)
  if not quantity then
    return refuse(msg, "Burn-Error", problem)
  end
  local has = balance(msg.From)
  if has < quantity then
    return refuse(msg, "Burn-Error", "Insufficient Balance!")
  end
  set_balance(msg.From, has - quantity)
  TotalSupply = tostring(number(TotalSupply) - quantity)
  msg.reply({ Action = "Burn-Notice", Quantity = tostring(quantity), Data = "Burned " .. tostring(quantity) })
end)

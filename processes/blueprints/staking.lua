--- Staking for a token: what is staked cannot be transferred, and comes back some blocks after it was asked for.
---
--- Load `token` first. `Stakers[address] = { amount = text, unstake_at = block }`; what is on its way back is in
--- `Unstaking[address]`, a list of `{ amount, release_at }`.
local bint = require(".bint")(256)
local json = require("json")

assert(Balances, "staking: load the blueprint token first, it holds the balances")

Stakers = Stakers or {}
Unstaking = Unstaking or {}
--- Blocks between Unstake and the tokens: about a day.
UnstakeDelay = UnstakeDelay or 670

--- Requests of one staker that wait at the same time.
local REQUESTS_MAX = 16

local function amount(text)
  if type(text) ~= "string" or not text:find("^%d+$") or #text > 76 then
    return nil
  end
  local value = bint(text)
  return not bint.iszero(value) and value or nil
end

local function refuse(msg, action, problem)
  msg.reply({ Action = action, ["Message-Id"] = msg.Id, Error = problem })
end

local function add(account, value)
  local now = bint(Balances[account] or "0") + value
  Balances[account] = not bint.iszero(now) and tostring(now) or nil
end

Handlers.add("staking.balances", "Stakers", function(msg)
  local amounts = {}
  for address, stake in pairs(Stakers) do
    amounts[address] = stake.amount
  end
  msg.reply({ Data = next(amounts) and json.encode(amounts) or "{}" })
end)

Handlers.add("staking.stake", "Stake", function(msg)
  local quantity = amount(msg.Quantity)
  if not quantity then
    return refuse(msg, "Stake-Error", "Quantity must be a whole number greater than 0")
  end
  if bint(Balances[msg.From] or "0") < quantity then
    return refuse(msg, "Stake-Error", "Insufficient Balance!")
  end
  local stake = Stakers[msg.From] or { amount = "0" }
  add(msg.From, -quantity)
  stake.amount = tostring(bint(stake.amount) + quantity)
  stake.unstake_at = (tonumber(msg["Block-Height"]) or 0) + UnstakeDelay
  Stakers[msg.From] = stake
  msg.reply({ Action = "Staked", Quantity = tostring(quantity), Data = "Staked " .. tostring(quantity) })
end)

Handlers.add("staking.unstake", "Unstake", function(msg)
  local quantity = amount(msg.Quantity)
  local stake = Stakers[msg.From]
  if not quantity then
    return refuse(msg, "Unstake-Error", "Quantity must be a whole number greater than 0")
  end
  if not stake or bint(stake.amount) < quantity then
    return refuse(msg, "Unstake-Error", "Insufficient Stake!")
  end
  local waiting = Unstaking[msg.From] or {}
  if #waiting >= REQUESTS_MAX then
    return refuse(msg, "Unstake-Error", "Too many requests wait already: " .. REQUESTS_MAX)
  end
  local left = bint(stake.amount) - quantity
  stake.amount = tostring(left)
  if bint.iszero(left) then
    Stakers[msg.From] = nil
  end
  local release_at = (tonumber(msg["Block-Height"]) or 0) + UnstakeDelay
  waiting[#waiting + 1] = { amount = tostring(quantity), release_at = release_at }
  Unstaking[msg.From] = waiting
  msg.reply({ Action = "Unstake-Notice", Quantity = tostring(quantity), ["Release-At"] = tostring(release_at) })
end)

--- Gives back what is due. Looked at with every message: a process has no clock of its own.
Handlers.prepend("staking.finalize", function()
  return "continue"
end, function(msg)
  local height = tonumber(msg["Block-Height"]) or 0
  for _, address in ipairs(Utils.keys(Unstaking)) do
    local waiting = {}
    for _, request in ipairs(Unstaking[address]) do
      if height >= request.release_at then
        add(address, bint(request.amount))
      else
        waiting[#waiting + 1] = request
      end
    end
    Unstaking[address] = #waiting > 0 and waiting or nil
  end
end)

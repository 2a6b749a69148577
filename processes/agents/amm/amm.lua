--- A constant-product pool of two tokens: swaps at x * y = k, with a fee that stays in the pool.
---
--- The owner says once which tokens (`Configure`). Value comes as a transfer to the pool that says what it is for:
--- `X-Action: Swap` (with `X-Min-Output`, and `X-Deadline` if wanted) or `X-Action: Provide`, one for each token, followed
--- by the message `Provide`. All rounding is in favour of the pool. What is not wanted goes back.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")

--- Shares that nobody has: without them the first provider could make a share so dear that the next gets none.
local LOCKED = amount.of("1000")
--- Of ten thousand.
local WHOLE = amount.of("10000")
--- Accounts that have given one token and not yet said Provide.
local DEPOSITS_MAX = 1000

--- `{ a = token, b = token, fee = of ten thousand }`
Pair = Pair or nil
Reserves = Reserves or { a = "0", b = "0" }
Shares = Shares or {}
TotalShares = TotalShares or "0"
--- `Deposits[account] = { a = text, b = text }`: given, and not yet in the pool.
Deposits = Deposits or {}

local function side_of(token)
  return Pair and (token == Pair.a and "a" or token == Pair.b and "b") or nil
end

local function other(side)
  return side == "a" and "b" or "a"
end

Handlers.add("amm.configure", till.from_owner("Configure"), function(msg)
  local fee, problem = amount.setting(msg.Fee or "30", "Fee (of ten thousand)", 0, 1000)
  if Pair then
    problem = "the pair is chosen already: others have put their tokens in"
  elseif not till.is_id(msg["Token-A"]) or not till.is_id(msg["Token-B"]) or msg["Token-A"] == msg["Token-B"] then
    problem = "Token-A and Token-B must be the ids of two tokens"
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Pair = { a = msg["Token-A"], b = msg["Token-B"], fee = fee }
  msg.reply({ Action = "Configured" })
end)

--- What a swap of so much gives: (in - fee) * out / (in_reserve + in - fee), rounded down.
local function output_of(side, quantity)
  local from, to = amount.of(Reserves[side]), amount.of(Reserves[other(side)])
  if amount.is_zero(from) or amount.is_zero(to) then
    return nil, "the pool is empty"
  end
  local after_fee = quantity * (WHOLE - Pair.fee) // WHOLE
  return amount.share(after_fee, to, from + after_fee)
end

local function swap(msg, side, quantity)
  local least, problem = amount.parse(msg["X-Min-Output"], "X-Min-Output")
  if not least then
    return nil, problem
  end
  if msg["X-Deadline"] then
    local deadline, wrong = amount.parse(msg["X-Deadline"], "X-Deadline")
    if not deadline then
      return nil, wrong
    elseif deadline < amount.of(tostring(msg.Timestamp)) then
      return nil, "X-Deadline is past"
    end
  end
  local output, empty = output_of(side, quantity)
  if not output then
    return nil, empty
  elseif amount.is_zero(output) then
    return nil, "so little gives nothing"
  elseif output < least then
    return nil, "the output would be " .. amount.text(output) .. ", less than X-Min-Output"
  end
  local to = other(side)
  local reserve = amount.of(Reserves[side]) + quantity
  if not amount.parse(amount.text(reserve)) then
    return nil, "the pool would be too large"
  end
  Reserves[side] = amount.text(reserve)
  Reserves[to] = amount.text(amount.of(Reserves[to]) - output)
  -- A payment that its token refuses is owed, and is no part of the reserves any more.
  because(("%s of %s in, %s out"):format(amount.text(quantity), side, amount.text(output)))
  till.pay(Pair[to], msg.Sender, output, { ["X-Action"] = "Swapped", ["X-Order"] = msg["X-Order"], ["X-Input"] = amount.text(quantity) })
  return true
end

local function deposit(msg, side, quantity)
  local own = Deposits[msg.Sender]
  if not own and #Utils.keys(Deposits) >= DEPOSITS_MAX then
    return nil, "too many deposits wait"
  end
  own = own or { a = "0", b = "0" }
  local sum = amount.text(amount.of(own[side]) + quantity)
  local fits, problem = amount.parse(sum)
  if not fits then
    return nil, problem
  end
  own[side] = sum
  Deposits[msg.Sender] = own
  return true
end

till.on_credit(function(token)
  return side_of(token) ~= nil
end, function(msg, quantity)
  local side = side_of(msg.From)
  if msg["X-Refund"] then
    return nil, "the pool asks nobody for anything"
  elseif msg["X-Action"] == "Swap" then
    return swap(msg, side, quantity)
  elseif msg["X-Action"] == "Provide" then
    return deposit(msg, side, quantity)
  end
  return nil, "X-Action must be Swap or Provide"
end)

local function give_back(account)
  local own = Deposits[account]
  Deposits[account] = nil
  for _, side in ipairs({ "a", "b" }) do
    till.pay(Pair[side], account, amount.of(own[side]), { ["X-Refund"] = "true" })
  end
end

--- How many shares a deposit makes, and how much of each token they take.
local function shares_of(a, b)
  local total = amount.of(TotalShares)
  if amount.is_zero(total) then
    local root = amount.root(a * b)
    if root <= LOCKED then
      return nil, "the first deposit is too small"
    end
    return root - LOCKED, a, b
  end
  local in_a, in_b = amount.of(Reserves.a), amount.of(Reserves.b)
  local shares = amount.min(amount.share(a, total, in_a), amount.share(b, total, in_b))
  if amount.is_zero(shares) then
    return nil, "the deposit is too small for a share"
  end
  -- Rounded up: who comes in takes nothing from who is in.
  return shares, amount.share_up(shares, in_a, total), amount.share_up(shares, in_b, total)
end

Handlers.add("amm.provide", "Provide", function(msg)
  local own = Deposits[msg.From]
  if not own then
    return till.refuse(msg, "Provide", "send both tokens first, with X-Action: Provide")
  end
  local least, problem = amount.parse(msg["Min-Shares"] or "0", "Min-Shares")
  local given_a, given_b = amount.of(own.a), amount.of(own.b)
  if not least then
    return till.refuse(msg, "Provide", problem)
  elseif amount.is_zero(given_a) or amount.is_zero(given_b) then
    return till.refuse(msg, "Provide", "both tokens are needed; Withdraw-Deposit gives back what is there")
  end
  local shares, a, b = shares_of(given_a, given_b)
  if not shares then
    return till.refuse(msg, "Provide", a)
  elseif shares < least then
    return till.refuse(msg, "Provide", "the shares would be " .. amount.text(shares) .. ", less than Min-Shares")
  end
  local in_a, in_b = amount.of(Reserves.a) + a, amount.of(Reserves.b) + b
  if not amount.parse(amount.text(in_a)) or not amount.parse(amount.text(in_b)) then
    return till.refuse(msg, "Provide", "the pool would be too large")
  end
  local locked = TotalShares == "0" and LOCKED or amount.zero
  Reserves.a, Reserves.b = amount.text(in_a), amount.text(in_b)
  TotalShares = amount.text(amount.of(TotalShares) + shares + locked)
  Shares[msg.From] = amount.text(amount.of(Shares[msg.From]) + shares)
  own.a, own.b = amount.text(given_a - a), amount.text(given_b - b)
  give_back(msg.From)
  msg.reply({ Action = "Provided", Shares = amount.text(shares), A = amount.text(a), B = amount.text(b) })
end)

Handlers.add("amm.withdraw-deposit", "Withdraw-Deposit", function(msg)
  if not Deposits[msg.From] then
    return till.refuse(msg, "Withdraw-Deposit", "there is no deposit of yours")
  end
  give_back(msg.From)
  msg.reply({ Action = "Deposit-Withdrawn" })
end)

Handlers.add("amm.withdraw", "Withdraw", function(msg)
  local shares, problem = amount.positive(msg.Quantity)
  if not shares then
    return till.refuse(msg, "Withdraw", problem)
  end
  local has, total = amount.of(Shares[msg.From]), amount.of(TotalShares)
  if has < shares then
    return till.refuse(msg, "Withdraw", "you have " .. amount.text(has) .. " shares")
  end
  local out = {}
  for _, side in ipairs({ "a", "b" }) do
    local reserve = amount.of(Reserves[side])
    out[side] = amount.share(reserve, shares, total)
    Reserves[side] = amount.text(reserve - out[side])
  end
  Shares[msg.From] = has ~= shares and amount.text(has - shares) or nil
  TotalShares = amount.text(total - shares)
  for _, side in ipairs({ "a", "b" }) do
    till.pay(Pair[side], msg.From, out[side], { ["X-Action"] = "Withdrawn" })
  end
  msg.reply({ Action = "Withdrawn", A = amount.text(out.a), B = amount.text(out.b) })
end)

Handlers.add("amm.quote", "Quote", function(msg)
  local side = side_of(msg.Token)
  local quantity, problem = amount.positive(msg.Quantity)
  local output
  if not side then
    problem = "Token is none of the pool"
  elseif quantity then
    output, problem = output_of(side, quantity)
  end
  if not output then
    return till.refuse(msg, "Quote", problem)
  end
  msg.reply({ Action = "Quote-Result", Token = msg.Token, Quantity = amount.text(quantity), Output = amount.text(output), Order = msg.Order })
end)

Handlers.add("amm.info", "Info", function(msg)
  msg.reply({ Action = "Info-Result", Data = { pair = Pair, reserves = Reserves, shares = TotalShares } })
end)

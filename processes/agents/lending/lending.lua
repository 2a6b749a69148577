--- A small lending process, to be watched: one collateral, one debt token, no interest.
---
--- The owner funds it. Whoever sends collateral may borrow against it, at the price of a feed (debt for a `Lot` of the
--- collateral). A debt over the threshold may be paid by anybody, who gets collateral for it and a bonus. Rounding is in
--- favour of the process. Nothing that needs a price is done without a fresh one.
local amount = require("lib.amount")
local because = require("lib.because")
local till = require("lib.till")
local feeds = require("lib.feeds")

local ACCOUNTS_MAX = 1000
--- Accounts that Positions tells.
local POSITIONS_MAX = 20
local WHOLE = amount.of("10000")
local MOST = amount.of(("9"):rep(38))

Terms = Terms or nil
--- `Accounts[account] = { collateral = text, debt = text }`
Accounts = Accounts or {}
--- What can be lent.
Liquidity = Liquidity or "0"

Handlers.add("lending.configure", till.from_owner("Configure"), function(msg)
  local terms, problem = { collateral = msg.Collateral, debt = msg.Debt, feed = msg["Feed-Name"] or "price" }, nil
  if Terms then
    problem = "the terms are chosen already: others rely on them"
  elseif not till.is_id(msg.Collateral) or not till.is_id(msg.Debt) or msg.Collateral == msg.Debt then
    problem = "Collateral and Debt must be the ids of two tokens"
  end
  local lot
  if not problem then
    lot, problem = amount.setting(msg.Lot or "1", "Lot", 1, 999999999999999)
    terms.lot = lot and tostring(lot)
  end
  for _, one in ipairs({ { "most", "Max-Debt", "6600", 1, 9000 }, { "threshold", "Threshold", "8000", 2, 9500 }, { "bonus", "Bonus", "500", 0, 2000 } }) do
    if not problem then
      terms[one[1]], problem = amount.setting(msg[one[2]] or one[3], one[2] .. " (of ten thousand)", one[4], one[5])
    end
  end
  if not problem and terms.most >= terms.threshold then
    problem = "Max-Debt must be less than Threshold"
  end
  if not problem then
    local declared
    declared, problem = feeds.declare_from(msg, terms.feed)
    problem = not declared and problem or nil
  end
  if problem then
    return till.refuse(msg, "Configure", problem)
  end
  Terms = terms
  msg.reply({ Action = "Configured" })
end)

local function price_at(msg)
  local price, problem = feeds.number(Terms.feed, tonumber(msg.Timestamp))
  if price and amount.is_zero(price) then
    return nil, "the price is 0"
  end
  return price, problem
end

--- What collateral is worth in the debt's token, rounded down.
local function value(collateral, price)
  return amount.min(amount.share(collateral, price, amount.of(Terms.lot)), MOST)
end

local function is_under(account, price)
  return amount.of(account.debt) * WHOLE > value(amount.of(account.collateral), price) * Terms.threshold
end

local function store(id, account)
  Accounts[id] = (account.collateral ~= "0" or account.debt ~= "0") and account or nil
end

local function liquidate(msg, quantity)
  local id = msg["X-Account"] or ""
  local account = Accounts[id]
  local price, problem = price_at(msg)
  local least, wrong = amount.parse(msg["X-Min-Output"] or "0", "X-Min-Output")
  if not account or account.debt == "0" then
    return nil, "that account has no debt"
  elseif not price then
    return nil, problem
  elseif not least then
    return nil, wrong
  elseif not is_under(account, price) then
    return nil, "that account is not under the threshold"
  end
  local debt, collateral = amount.of(account.debt), amount.of(account.collateral)
  local lot, part = amount.of(Terms.lot), WHOLE + Terms.bonus
  local pays = amount.min(quantity, debt)
  local gets = (pays * lot * part) // (price * WHOLE)
  if gets > collateral then
    -- No more than is there, and no more paid than that is for.
    gets = collateral
    pays = amount.min(pays, (collateral * price // lot * WHOLE) // part + 1)
  end
  if amount.is_zero(gets) or gets < least then
    return nil, "it would give " .. amount.text(gets)
  end
  account.debt, account.collateral = amount.text(debt - pays), amount.text(collateral - gets)
  because(("the debt of %s: %s are paid for %s of its collateral"):format(id, amount.text(pays), amount.text(gets)))
  store(id, account)
  Liquidity = amount.text(amount.of(Liquidity) + pays)
  till.pay(Terms.collateral, msg.Sender, gets, { ["X-Action"] = "Liquidated", ["X-Order"] = msg["X-Order"], ["X-Account"] = id, ["X-Paid"] = amount.text(pays) })
  till.pay(Terms.debt, msg.Sender, quantity - pays, { ["X-Refund"] = "true", ["X-Order"] = msg["X-Order"] })
  return true
end

local function repay(msg, quantity)
  local account = Accounts[msg.Sender]
  if not account or account.debt == "0" then
    return nil, "you have no debt"
  end
  local pays = amount.min(quantity, amount.of(account.debt))
  account.debt = amount.text(amount.of(account.debt) - pays)
  store(msg.Sender, account)
  Liquidity = amount.text(amount.of(Liquidity) + pays)
  till.pay(Terms.debt, msg.Sender, quantity - pays, { ["X-Refund"] = "true" })
  return true
end

till.on_credit(function(token)
  return Terms ~= nil and (token == Terms.collateral or token == Terms.debt)
end, function(msg, quantity)
  local action = msg["X-Action"]
  if msg["X-Refund"] then
    return nil, "it asks nobody for anything"
  elseif msg.From == Terms.collateral then
    if action ~= "Collateral" then
      return nil, "X-Action must be Collateral"
    end
    local account = Accounts[msg.Sender]
    if not account and #Utils.keys(Accounts) >= ACCOUNTS_MAX then
      return nil, "there are too many accounts"
    end
    account = account or { collateral = "0", debt = "0" }
    local sum, problem = amount.parse(amount.text(amount.of(account.collateral) + quantity))
    if not sum then
      return nil, problem
    end
    account.collateral = amount.text(sum)
    store(msg.Sender, account)
    return true
  elseif action == "Fund" and msg.Sender == Owner then
    Liquidity = amount.text(amount.of(Liquidity) + quantity)
    return true
  elseif action == "Repay" then
    return repay(msg, quantity)
  elseif action == "Liquidate" then
    return liquidate(msg, quantity)
  end
  return nil, "X-Action must be Repay or Liquidate"
end)

--- May an account owe so much with so much collateral?
local function may(collateral, debt, price)
  return debt * WHOLE <= value(collateral, price) * Terms.most
end

Handlers.add("lending.borrow", "Borrow", function(msg)
  local account = Accounts[msg.From]
  local quantity, problem = amount.positive(msg.Quantity)
  if not Terms or not account then
    return till.refuse(msg, "Borrow", "send collateral first, with X-Action: Collateral")
  elseif not quantity then
    return till.refuse(msg, "Borrow", problem)
  elseif quantity > amount.of(Liquidity) then
    return till.refuse(msg, "Borrow", "only " .. Liquidity .. " can be lent")
  end
  local price, silent = price_at(msg)
  if not price then
    return till.refuse(msg, "Borrow", silent)
  end
  local debt = amount.of(account.debt) + quantity
  if not may(amount.of(account.collateral), debt, price) then
    return till.refuse(msg, "Borrow", "your collateral is worth too little for that")
  end
  account.debt = amount.text(debt)
  Liquidity = amount.text(amount.of(Liquidity) - quantity)
  till.pay(Terms.debt, msg.From, quantity, { ["X-Action"] = "Borrowed" })
  msg.reply({ Action = "Borrowed", Quantity = amount.text(quantity) })
end)

Handlers.add("lending.withdraw", "Withdraw", function(msg)
  local account = Accounts[msg.From]
  local quantity, problem = amount.positive(msg.Quantity)
  if not account or (quantity and quantity > amount.of(account.collateral)) then
    return till.refuse(msg, "Withdraw", "you have not so much collateral here")
  elseif not quantity then
    return till.refuse(msg, "Withdraw", problem)
  end
  local left = amount.of(account.collateral) - quantity
  if account.debt ~= "0" then
    local price, silent = price_at(msg)
    if not price or not may(left, amount.of(account.debt), price) then
      return till.refuse(msg, "Withdraw", silent or "your debt needs that collateral")
    end
  end
  account.collateral = amount.text(left)
  store(msg.From, account)
  till.pay(Terms.collateral, msg.From, quantity, { ["X-Action"] = "Withdrawn" })
end)

Handlers.add("lending.defund", till.from_owner("Defund"), function(msg)
  local quantity, problem = amount.positive(msg.Quantity)
  if not quantity or quantity > amount.of(Liquidity) then
    return till.refuse(msg, "Defund", problem or "only " .. Liquidity .. " is not lent")
  end
  Liquidity = amount.text(amount.of(Liquidity) - quantity)
  till.pay(Terms.debt, Owner, quantity, { ["X-Action"] = "Withdrawn" })
end)

Handlers.add("lending.positions", "Positions", function(msg)
  local price, problem
  if Terms then
    price, problem = price_at(msg)
  end
  if not price then
    return till.refuse(msg, "Positions", problem or "it is not configured")
  end
  local under = {}
  for _, id in ipairs(Utils.keys(Accounts)) do
    local account = Accounts[id]
    -- What has no collateral left gives nothing to whoever pays.
    if #under < POSITIONS_MAX and account.collateral ~= "0" and is_under(account, price) then
      under[#under + 1] = { account = id, debt = account.debt, collateral = account.collateral }
    end
  end
  because(#under .. " are under the threshold at " .. amount.text(price))
  msg.reply({ Action = "Positions-Result", Price = amount.text(price), Lot = Terms.lot, Data = { under = under } })
end)

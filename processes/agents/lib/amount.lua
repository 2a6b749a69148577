--- Amounts: whole numbers in a token's smallest unit, as decimal text outside and as big integers inside.
---
--- No floats anywhere. What a stranger may say has at most 38 digits, so that the product of two such amounts is exact
--- in 256 bits.
local bint = require(".bint")(256)

local amount = {}

--- Digits of an amount that is accepted: 10^38 - 1 is less than 2^127.
local DIGITS_MAX = 38

amount.zero = bint.zero()
amount.one = bint.one()

--- The number that a text of digits says, or nil and why not. Nothing else is a number: no sign, no point, no exponent.
---@param text any
---@param what? string what it is called in the answer
---@return table|nil, string|nil
function amount.parse(text, what)
  what = what or "Quantity"
  if type(text) ~= "string" then
    return nil, what .. " is required"
  elseif not text:find("^%d+$") then
    return nil, what .. " must be a whole number in decimal digits"
  end
  text = text:gsub("^0+(%d)", "%1")
  if #text > DIGITS_MAX then
    return nil, what .. " is too large: at most " .. DIGITS_MAX .. " digits"
  end
  return bint(text)
end

--- The same, and more than nothing.
function amount.positive(text, what)
  local number, problem = amount.parse(text, what)
  if number and bint.iszero(number) then
    return nil, (what or "Quantity") .. " must be greater than 0"
  end
  return number, problem
end

--- The number of a text of our own; nothing is 0.
function amount.of(text)
  return text and bint(text) or bint.zero()
end

amount.text = tostring

function amount.is_zero(number)
  return bint.iszero(number)
end

function amount.min(a, b)
  return a < b and a or b
end

--- a * b / c, rounded down.
function amount.share(a, b, c)
  return (a * b) // c
end

--- a * b / c, rounded up.
function amount.share_up(a, b, c)
  return (a * b + c - 1) // c
end

--- The whole part of a square root.
function amount.root(number)
  if bint.iszero(number) then
    return number
  end
  -- From above: a power of two that is no smaller than the root.
  local guess, rest = bint.one(), number
  while not bint.iszero(rest) do
    rest, guess = rest >> 2, guess << 1
  end
  while true do
    local better = (guess + number // guess) >> 1
    if better >= guess then
      return guess
    end
    guess = better
  end
end

--- A small whole number of a setting: from `low` to `high`, or nil and why not.
---@return integer|nil, string|nil
function amount.setting(text, what, low, high)
  local number = type(text) == "string" and text:find("^%d+$") and #text <= 15 and math.tointeger(tonumber(text)) or nil
  if not number or number < low or number > high then
    return nil, ("%s must be a whole number from %d to %d"):format(what, low, high)
  end
  return number
end

return amount

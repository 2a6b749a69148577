--- Random numbers that are the same wherever the process is evaluated: xoshiro256** over a seed.
---
--- They surprise no one who knows the process: whoever can read its messages can compute them.
local chance = { _version = "0.0.5" }

local s0, s1, s2, s3

local function rotate(x, by)
  return (x << by) | (x >> (64 - by))
end

--- Starts again from a number or a text.
---@param from number|string
function chance.seed(from)
  local x
  if type(from) == "number" then
    x = math.tointeger(from) or string.unpack("<i8", string.pack("<d", from))
  else
    -- FNV-1a spreads a text over 64 bits.
    x = -3750763034362895579
    local text = tostring(from)
    for at = 1, #text do
      x = (x ~ text:byte(at)) * 1099511628211
    end
  end
  -- SplitMix64 fills the state, as its authors advise.
  local function mix()
    x = x + -7046029254386353131
    local z = x
    z = (z ~ (z >> 30)) * -4658895280553007687
    z = (z ~ (z >> 27)) * -7723592293110705685
    return z ~ (z >> 31)
  end
  s0, s1, s2, s3 = mix(), mix(), mix(), mix()
end

--- 64 random bits.
local function bits()
  local result = rotate(s1 * 5, 7) * 9
  local t = s1 << 17
  s2, s3 = s2 ~ s0, s3 ~ s1
  s1, s0 = s1 ~ s2, s0 ~ s3
  s2, s3 = s2 ~ t, rotate(s3, 45)
  return result
end

--- A float from 0 (inclusive) to 1 (exclusive).
---@return number
function chance.float()
  return (bits() >> 11) * (1.0 / (1 << 53))
end

--- An integer from `low` to `high`, both inclusive, each as likely as the others.
---@param low integer
---@param high integer
---@return integer
function chance.integer(low, high)
  low, high = math.tointeger(low), math.tointeger(high)
  if not low or not high then
    error("number has no integer representation", 2)
  end
  if low > high then
    error("interval is empty", 2)
  end
  local span = high - low
  if span + 1 == 0 then
    return bits()
  end
  -- The smallest mask that covers the span; what lies beyond it is drawn again.
  local mask = span
  for by = 0, 5 do
    mask = mask | (mask >> (1 << by))
  end
  while true do
    local drawn = bits() & mask
    if math.ult(drawn, span) or drawn == span then
      return low + drawn
    end
  end
end

--- As `math.random`: no argument, an upper bound, or two bounds.
---@param low? integer
---@param high? integer
---@return number
function chance.random(low, high)
  if low == nil then
    return chance.float()
  elseif high == nil then
    return chance.integer(1, low)
  end
  return chance.integer(low, high)
end

chance.seed(0)

return chance

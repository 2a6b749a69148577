--- The sponge of Keccak: SHA-3, and Keccak as it was before the standard (which Ethereum uses).
---
--- Each is a function of the bytes, as a string, to the bytes of the digest, as a string.
local keccak = {}

local ROUND = {
  0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
  0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
  0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
  0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
  0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
  0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
}
-- For each step of the walk through the lanes: where it goes next, and how far it is turned.
local WALK = { 11, 8, 12, 18, 19, 4, 6, 17, 9, 22, 25, 5, 16, 24, 20, 14, 13, 3, 21, 15, 23, 10, 7, 2 }
local TURN = { 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44 }

--- Mixes the 25 lanes of 64 bits, 24 times.
local function permute(lanes)
  local c = {}
  for round = 1, 24 do
    for x = 1, 5 do
      c[x] = lanes[x] ~ lanes[x + 5] ~ lanes[x + 10] ~ lanes[x + 15] ~ lanes[x + 20]
    end
    for x = 1, 5 do
      local right = c[x % 5 + 1]
      local mixed = c[(x + 3) % 5 + 1] ~ (right << 1 | right >> 63)
      for y = x, x + 20, 5 do
        lanes[y] = lanes[y] ~ mixed
      end
    end
    local carried = lanes[2]
    for step = 1, 24 do
      local to, by = WALK[step], TURN[step]
      lanes[to], carried = carried << by | carried >> (64 - by), lanes[to]
    end
    for y = 0, 20, 5 do
      local a, b, d, e, f = lanes[y + 1], lanes[y + 2], lanes[y + 3], lanes[y + 4], lanes[y + 5]
      lanes[y + 1], lanes[y + 2], lanes[y + 3] = a ~ (~b & d), b ~ (~d & e), d ~ (~e & f)
      lanes[y + 4], lanes[y + 5] = e ~ (~f & a), f ~ (~a & b)
    end
    lanes[1] = lanes[1] ~ ROUND[round]
  end
end

local function sponge(text, rate, suffix, length)
  local lanes = {}
  for lane = 1, 25 do
    lanes[lane] = 0
  end
  local missing = rate - #text % rate
  if missing == 1 then
    text = text .. string.char(suffix | 0x80)
  else
    text = text .. string.char(suffix) .. ("\0"):rep(missing - 2) .. "\128"
  end
  for at = 1, #text, rate do
    for lane = 1, rate // 8 do
      lanes[lane] = lanes[lane] ~ string.unpack("<i8", text, at + (lane - 1) * 8)
    end
    permute(lanes)
  end
  return string.pack("<" .. ("i8"):rep(length // 8), table.unpack(lanes, 1, length // 8))
end

function keccak.sha3_256(text)
  return sponge(text, 136, 0x06, 32)
end

function keccak.sha3_512(text)
  return sponge(text, 72, 0x06, 64)
end

function keccak.keccak256(text)
  return sponge(text, 136, 0x01, 32)
end

function keccak.keccak512(text)
  return sponge(text, 72, 0x01, 64)
end

return keccak

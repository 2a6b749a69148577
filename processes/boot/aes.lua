--- AES with keys of 128, 192 and 256 bits: one block at a time, and the modes that chain blocks.
---
--- Not in constant time: a process has no secrets that its evaluation could leak, everybody can evaluate it.
local aes = {}

--- The field of AES, multiplied by two.
local function double(x)
  x = x << 1
  return x > 0xff and (x ~ 0x11b) or x
end

-- The tables follow from the field: no numbers to copy wrongly.
local SUB, INVERSE = {}, {}
do
  local power, log = {}, {}
  local x = 1
  for at = 0, 254 do
    power[at], log[x] = x, at
    x = x ~ double(x)
  end
  for value = 0, 255 do
    local inverse = value == 0 and 0 or power[(255 - log[value]) % 255]
    local spread = inverse
    for by = 1, 4 do
      spread = spread ~ ((inverse << by | inverse >> (8 - by)) & 0xff)
    end
    SUB[value] = spread ~ 0x63
    INVERSE[spread ~ 0x63] = value
  end
end

--- The keys of the rounds, one after the other, in bytes.
local function expand(key)
  local words = #key // 4
  local rounds = words + 6
  local w = { key:byte(1, -1) }
  local constant = 1
  for at = words, 4 * (rounds + 1) - 1 do
    local a, b, c, d = w[at * 4 - 3], w[at * 4 - 2], w[at * 4 - 1], w[at * 4]
    if at % words == 0 then
      a, b, c, d = SUB[b] ~ constant, SUB[c], SUB[d], SUB[a]
      constant = double(constant)
    elseif words > 6 and at % words == 4 then
      a, b, c, d = SUB[a], SUB[b], SUB[c], SUB[d]
    end
    local from = (at - words) * 4
    w[at * 4 + 1], w[at * 4 + 2] = w[from + 1] ~ a, w[from + 2] ~ b
    w[at * 4 + 3], w[at * 4 + 4] = w[from + 3] ~ c, w[from + 4] ~ d
  end
  return { bytes = w, rounds = rounds }
end

local function add_key(s, keys, round)
  local from = round * 16
  for at = 1, 16 do
    s[at] = s[at] ~ keys.bytes[from + at]
  end
end

--- Encrypts one block of 16 bytes.
local function encrypt_block(keys, block)
  local s = { block:byte(1, 16) }
  add_key(s, keys, 0)
  for round = 1, keys.rounds do
    local t = {}
    for at = 0, 15 do
      -- Rows move to the left by their number.
      t[at + 1] = SUB[s[(at + 4 * (at % 4)) % 16 + 1]]
    end
    if round < keys.rounds then
      for at = 1, 13, 4 do
        local a, b, c, d = t[at], t[at + 1], t[at + 2], t[at + 3]
        local all = a ~ b ~ c ~ d
        t[at], t[at + 1] = a ~ all ~ double(a ~ b), b ~ all ~ double(b ~ c)
        t[at + 2], t[at + 3] = c ~ all ~ double(c ~ d), d ~ all ~ double(d ~ a)
      end
    end
    s = t
    add_key(s, keys, round)
  end
  return string.char(table.unpack(s))
end

--- Decrypts one block of 16 bytes.
local function decrypt_block(keys, block)
  local s = { block:byte(1, 16) }
  for round = keys.rounds, 1, -1 do
    add_key(s, keys, round)
    if round < keys.rounds then
      for at = 1, 13, 4 do
        local a, b, c, d = s[at], s[at + 1], s[at + 2], s[at + 3]
        -- What undoes the mixing is the mixing after one more step.
        local u, v = double(double(a ~ c)), double(double(b ~ d))
        a, b, c, d = a ~ u, b ~ v, c ~ u, d ~ v
        local all = a ~ b ~ c ~ d
        s[at], s[at + 1] = a ~ all ~ double(a ~ b), b ~ all ~ double(b ~ c)
        s[at + 2], s[at + 3] = c ~ all ~ double(c ~ d), d ~ all ~ double(d ~ a)
      end
    end
    local t = {}
    for at = 0, 15 do
      t[(at + 4 * (at % 4)) % 16 + 1] = INVERSE[s[at + 1]]
    end
    s = t
  end
  add_key(s, keys, 0)
  return string.char(table.unpack(s))
end

local function xor(a, b)
  local a1, a2 = string.unpack("<i8i8", a)
  local b1, b2 = string.unpack("<i8i8", b)
  return string.pack("<i8i8", a1 ~ b1, a2 ~ b2)
end

local function next_counter(block)
  local high, low = string.unpack(">i8i8", block)
  low = low + 1
  return string.pack(">i8i8", low == 0 and high + 1 or high, low)
end

--- Each mode takes keys, a block and what the block before left, and gives a block and what is left for the next.
local modes = {
  ECB = {
    encrypt = function(keys, block)
      return encrypt_block(keys, block)
    end,
    decrypt = function(keys, block)
      return decrypt_block(keys, block)
    end,
  },
  CBC = {
    encrypt = function(keys, block, left)
      local out = encrypt_block(keys, xor(block, left))
      return out, out
    end,
    decrypt = function(keys, block, left)
      return xor(decrypt_block(keys, block), left), block
    end,
  },
  CFB = {
    encrypt = function(keys, block, left)
      local out = xor(block, encrypt_block(keys, left))
      return out, out
    end,
    decrypt = function(keys, block, left)
      return xor(block, encrypt_block(keys, left)), block
    end,
  },
  OFB = {
    encrypt = function(keys, block, left)
      left = encrypt_block(keys, left)
      return xor(block, left), left
    end,
  },
  CTR = {
    encrypt = function(keys, block, left)
      return xor(block, encrypt_block(keys, left)), next_counter(left)
    end,
  },
}
modes.OFB.decrypt, modes.CTR.decrypt = modes.OFB.encrypt, modes.CTR.encrypt

local function run(direction, text, key, iv, mode, bits)
  mode, bits = mode and mode:upper() or "CBC", bits or 128
  local how = modes[mode]
  if not how then
    error("aes: the mode is CBC, ECB, CFB, OFB or CTR, not " .. mode, 3)
  end
  if bits ~= 128 and bits ~= 192 and bits ~= 256 then
    error("aes: a key has 128, 192 or 256 bits, not " .. tostring(bits), 3)
  end
  if #key ~= bits // 8 then
    error(("aes: the key should have %d bytes, it has %d"):format(bits // 8, #key), 3)
  end
  if iv == nil or iv == "" then
    iv = ("\0"):rep(16)
  elseif #iv ~= 16 then
    error(("aes: the initialisation vector should have 16 bytes, it has %d"):format(#iv), 3)
  end
  local keys, out, left = expand(key), {}, iv
  text = text .. ("\0"):rep(-#text % 16)
  for at = 1, #text, 16 do
    out[#out + 1], left = how[direction](keys, text:sub(at, at + 15), left)
  end
  return table.concat(out)
end

--- Encrypts. Text that does not fill its last block is followed by zeros.
---@param text string
---@param key string of 16, 24 or 32 bytes, as `bits` says
---@param iv? string 16 bytes; zeros when it is not given
---@param mode? "CBC"|"ECB"|"CFB"|"OFB"|"CTR" CBC when it is not given
---@param bits? 128|192|256
---@return string
function aes.encrypt(text, key, iv, mode, bits)
  return run("encrypt", text, key, iv, mode, bits)
end

--- Decrypts what `encrypt` gave for the same arguments; the zeros at the end stay.
---@param text string the bytes that were encrypted
---@return string
function aes.decrypt(text, key, iv, mode, bits)
  return run("decrypt", text, key, iv, mode, bits)
end

return aes

--- NORX64-4-1, version 3 (J.-P. Aumasson, P. Jovanovic, S. Neves, CAESAR 2016): a cipher that also tells whether
--- anything was changed.
local norx = { variant = "NORX 64-4-1", key_size = 32, nonce_size = 32 }

local RATE, TAG = 96, 32
--- What comes next, told to the state.
local HEADER, TEXT, TRAILER, END = 0x01, 0x02, 0x04, 0x08

local function rotr(x, by)
  return x >> by | x << 64 - by
end

local function h(x, y)
  return x ~ y ~ (x & y) << 1
end

local function quarter(s, a, b, c, d)
  local x, y, z, w = s[a], s[b], s[c], s[d]
  x = h(x, y); w = rotr(x ~ w, 8); z = h(z, w); y = rotr(y ~ z, 19)
  x = h(x, y); w = rotr(x ~ w, 40); z = h(z, w); y = rotr(y ~ z, 63)
  s[a], s[b], s[c], s[d] = x, y, z, w
end

local function permute(s, rounds)
  for _ = 1, rounds do
    for i = 1, 4 do
      quarter(s, i, i + 4, i + 8, i + 12)
    end
    quarter(s, 1, 6, 11, 16)
    quarter(s, 2, 7, 12, 13)
    quarter(s, 3, 8, 9, 14)
    quarter(s, 4, 5, 10, 15)
  end
end

local function add_key(s, k)
  for i = 1, 4 do
    s[12 + i] = s[12 + i] ~ k[i]
  end
end

local function begin(key, nonce)
  if #key ~= 32 or #nonce ~= 32 then
    error(("norx: key and nonce should be 32 bytes each, they have %d and %d"):format(#key, #nonce), 4)
  end
  local s = {}
  for i = 1, 16 do
    s[i] = i - 1
  end
  permute(s, 2)
  local k = { string.unpack("<i8i8i8i8", key) }
  table.move({ string.unpack("<i8i8i8i8", nonce) }, 1, 4, 1, s)
  table.move(k, 1, 4, 5, s)
  -- Bits of a word, rounds, lanes, bits of the tag.
  for i, word in ipairs({ 64, 4, 1, 256 }) do
    s[12 + i] = s[12 + i] ~ word
  end
  permute(s, 4)
  add_key(s, k)
  return s, k
end

--- A block filled up: a one, zeros, and a one at the other end.
local function padded(block)
  local text = block .. "\1" .. ("\0"):rep(RATE - 1 - #block)
  return text:sub(1, -2) .. string.char(text:byte(-1) | 0x80)
end

local FORMAT = "<" .. ("i8"):rep(RATE // 8)

--- Calls `each` with every block and whether it is the last, which is never a full one.
local function blocks(s, domain, text, each)
  if #text == 0 then
    return
  end
  for at = 1, #text + 1, RATE do
    s[16] = s[16] ~ domain
    permute(s, 4)
    each(text:sub(at, at + RATE - 1), at + RATE > #text + 1)
  end
end

local function absorb(s, domain, text)
  blocks(s, domain, text, function(block, is_last)
    local words = { string.unpack(FORMAT, is_last and padded(block) or block) }
    for i = 1, RATE // 8 do
      s[i] = s[i] ~ words[i]
    end
  end)
end

local function finish(s, k)
  s[16] = s[16] ~ END
  permute(s, 4)
  add_key(s, k)
  permute(s, 4)
  add_key(s, k)
  return string.pack("<i8i8i8i8", table.unpack(s, 13, 16))
end

--- A text under a key and a nonce that is used once: what is hidden, and 32 bytes that prove it, header and trailer.
---@param key string 32 bytes
---@param nonce string 32 bytes
---@param text string
---@param header? string
---@param trailer? string
---@return string
function norx.encrypt(key, nonce, text, header, trailer)
  local s, k = begin(key, nonce)
  absorb(s, HEADER, header or "")
  local out = {}
  blocks(s, TEXT, text, function(block, is_last)
    local words = { string.unpack(FORMAT, is_last and padded(block) or block) }
    for i = 1, RATE // 8 do
      s[i] = s[i] ~ words[i]
    end
    out[#out + 1] = string.pack(FORMAT, table.unpack(s, 1, RATE // 8)):sub(1, #block)
  end)
  absorb(s, TRAILER, trailer or "")
  out[#out + 1] = finish(s, k)
  return table.concat(out)
end

--- The text again; nil if it, the header or the trailer is not as it was.
---@return string?
function norx.decrypt(key, nonce, hidden, header, trailer)
  local s, k = begin(key, nonce)
  if #hidden < TAG then
    return nil
  end
  absorb(s, HEADER, header or "")
  local out = {}
  blocks(s, TEXT, hidden:sub(1, -TAG - 1), function(block, is_last)
    local stream = string.pack(FORMAT, table.unpack(s, 1, RATE // 8))
    local plain = {}
    for i = 1, #block do
      plain[i] = string.char(block:byte(i) ~ stream:byte(i))
    end
    plain = table.concat(plain)
    out[#out + 1] = plain
    local words = { string.unpack(FORMAT, is_last and padded(plain) or plain) }
    for i = 1, RATE // 8 do
      s[i] = s[i] ~ words[i]
    end
  end)
  absorb(s, TRAILER, trailer or "")
  if finish(s, k) ~= hidden:sub(-TAG) then
    return nil
  end
  return table.concat(out)
end

return norx

--- MORUS-1280, version 2 (H. Wu, T. Huang, CAESAR 2016): a cipher that also tells whether anything was changed.
local morus = { variant = "Morus-1280", key_size = 32, nonce_size = 16 }

local BLOCK, TAG = 32, 16
--- The bytes 0, 1, 1, 2, 3, 5, 8 ... modulo 256, as words.
local FIBONACCI = { 0x0d08050302010100, 0x6279e99059372215, 0xf12fc26d55183ddb, 0xdd28b57342311120 }

local function rotl(x, by)
  return x << by | x >> 64 - by
end

--- One step: five rounds over the state, twenty words, with a block of four.
local function update(s, m0, m1, m2, m3)
  local m = { m0, m1, m2, m3 }
  -- Which rows, how far its words are turned, by how many words the other row is.
  for round, by in ipairs({ { 13, 1 }, { 46, 2 }, { 38, 3 }, { 7, 2 }, { 4, 1 } }) do
    local function row(n)
      return (round - 1 + n) % 5 * 4
    end
    local r0, r1, r2, r3 = row(0), row(1), row(2), row(3)
    for i = 1, 4 do
      local word = s[r0 + i] ~ s[r1 + i] & s[r2 + i] ~ s[r3 + i]
      if round > 1 then
        word = word ~ m[i]
      end
      s[r0 + i] = rotl(word, by[1])
    end
    local turned = {}
    for i = 0, 3 do
      turned[(i + by[2]) % 4] = s[r3 + i + 1]
    end
    for i = 0, 3 do
      s[r3 + i + 1] = turned[i]
    end
  end
end

--- The four words that hide a block.
local function mask(s)
  local out = {}
  for i = 1, 4 do
    out[i] = s[i] ~ s[5 + i % 4] ~ s[8 + i] & s[12 + i]
  end
  return out
end

local function begin(key, nonce)
  if #key ~= 16 and #key ~= 32 then
    error("morus: the key should be 16 or 32 bytes, it has " .. #key, 4)
  elseif #nonce ~= 16 then
    error("morus: the nonce should be 16 bytes, it has " .. #nonce, 4)
  end
  local k = { string.unpack("<i8i8i8i8", #key == 16 and key .. key or key) }
  local n0, n1 = string.unpack("<i8i8", nonce)
  local s = { n0, n1, 0, 0, k[1], k[2], k[3], k[4], -1, -1, -1, -1, 0, 0, 0, 0, table.unpack(FIBONACCI) }
  for _ = 1, 16 do
    update(s, 0, 0, 0, 0)
  end
  for i = 1, 4 do
    s[4 + i] = s[4 + i] ~ k[i]
  end
  return s
end

--- Calls `each` with every block of a text, the last filled with zeros, and its length.
local function blocks(text, each)
  for at = 1, #text, BLOCK do
    local block = text:sub(at, at + BLOCK - 1)
    local b0, b1, b2, b3 = string.unpack("<i8i8i8i8", block .. ("\0"):rep(BLOCK - #block))
    each(#block, b0, b1, b2, b3)
  end
end

local function finish(s, header_bytes, text_bytes)
  for i = 1, 4 do
    s[16 + i] = s[16 + i] ~ s[i]
  end
  for _ = 1, 10 do
    update(s, header_bytes * 8, text_bytes * 8, 0, 0)
  end
  local out = mask(s)
  return string.pack("<i8i8", out[1], out[2])
end

--- A text under a key and a nonce that is used once: header, what is hidden, sixteen bytes that prove both.
---@param key string 16 or 32 bytes
---@param nonce string 16 bytes
---@param text string
---@param header? string is not hidden
---@return string
function morus.encrypt(key, nonce, text, header)
  header = header or ""
  local s, out = begin(key, nonce), { header }
  blocks(header, function(_, ...)
    update(s, ...)
  end)
  blocks(text, function(length, b0, b1, b2, b3)
    local m = mask(s)
    update(s, b0, b1, b2, b3)
    out[#out + 1] = string.pack("<i8i8i8i8", m[1] ~ b0, m[2] ~ b1, m[3] ~ b2, m[4] ~ b3):sub(1, length)
  end)
  out[#out + 1] = finish(s, #header, #text)
  return table.concat(out)
end

--- The text again; nil if anything is not as it was.
---@param header_bytes? integer length of the header
---@return string?
function morus.decrypt(key, nonce, hidden, header_bytes)
  header_bytes = header_bytes or 0
  local s = begin(key, nonce)
  if #hidden < header_bytes + TAG then
    return nil
  end
  blocks(hidden:sub(1, header_bytes), function(_, ...)
    update(s, ...)
  end)
  local out, body = {}, hidden:sub(header_bytes + 1, -TAG - 1)
  blocks(body, function(length, b0, b1, b2, b3)
    local m = mask(s)
    local plain = string.pack("<i8i8i8i8", m[1] ~ b0, m[2] ~ b1, m[3] ~ b2, m[4] ~ b3):sub(1, length)
    out[#out + 1] = plain
    update(s, string.unpack("<i8i8i8i8", plain .. ("\0"):rep(BLOCK - length)))
  end)
  if finish(s, header_bytes, #body) ~= hidden:sub(-TAG) then
    return nil
  end
  return table.concat(out)
end

--- One step over a state of twenty words.
morus.state_update = update

return morus

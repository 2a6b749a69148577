--- BLAKE2b, with or without a key.

local IV = {
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}
local SIGMA = {
  { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
  { 15, 11, 5, 9, 10, 16, 14, 7, 2, 13, 1, 3, 12, 8, 6, 4 },
  { 12, 9, 13, 1, 6, 3, 16, 14, 11, 15, 4, 7, 8, 2, 10, 5 },
  { 8, 10, 4, 2, 14, 13, 12, 15, 3, 7, 6, 11, 5, 1, 16, 9 },
  { 10, 1, 6, 8, 3, 5, 11, 16, 15, 2, 12, 13, 7, 9, 4, 14 },
  { 3, 13, 7, 11, 1, 12, 9, 4, 5, 14, 8, 6, 16, 15, 2, 10 },
  { 13, 6, 2, 16, 15, 14, 5, 11, 1, 8, 7, 4, 10, 3, 9, 12 },
  { 14, 12, 8, 15, 13, 2, 4, 10, 6, 1, 16, 5, 9, 7, 3, 11 },
  { 7, 16, 15, 10, 12, 4, 1, 9, 13, 3, 14, 8, 2, 5, 11, 6 },
  { 11, 3, 9, 5, 8, 7, 2, 6, 16, 12, 10, 15, 4, 13, 14, 1 },
}

local function rotr(x, by)
  return (x >> by) | (x << (64 - by))
end

local function mix(v, a, b, c, d, x, y)
  v[a] = v[a] + v[b] + x
  v[d] = rotr(v[d] ~ v[a], 32)
  v[c] = v[c] + v[d]
  v[b] = rotr(v[b] ~ v[c], 24)
  v[a] = v[a] + v[b] + y
  v[d] = rotr(v[d] ~ v[a], 16)
  v[c] = v[c] + v[d]
  v[b] = rotr(v[b] ~ v[c], 63)
end

local function compress(h, block, count, last)
  local m = { string.unpack("<i8i8i8i8i8i8i8i8i8i8i8i8i8i8i8i8", block) }
  local v = table.move(h, 1, 8, 1, {})
  table.move(IV, 1, 8, 9, v)
  v[13] = v[13] ~ count
  if last then
    v[15] = ~v[15]
  end
  for round = 0, 11 do
    local s = SIGMA[round % 10 + 1]
    mix(v, 1, 5, 9, 13, m[s[1]], m[s[2]])
    mix(v, 2, 6, 10, 14, m[s[3]], m[s[4]])
    mix(v, 3, 7, 11, 15, m[s[5]], m[s[6]])
    mix(v, 4, 8, 12, 16, m[s[7]], m[s[8]])
    mix(v, 1, 6, 11, 16, m[s[9]], m[s[10]])
    mix(v, 2, 7, 12, 13, m[s[11]], m[s[12]])
    mix(v, 3, 8, 9, 14, m[s[13]], m[s[14]])
    mix(v, 4, 5, 10, 15, m[s[15]], m[s[16]])
  end
  for at = 1, 8 do
    h[at] = h[at] ~ v[at] ~ v[at + 8]
  end
end

--- The digest of the bytes.
---@param text string
---@param length? integer bytes of the digest, 1 to 64; 64 when it is not said
---@param key? string up to 64 bytes
---@return string
return function(text, length, key)
  length, key = length or 64, key or ""
  if math.type(length) ~= "integer" or length < 1 or length > 64 then
    error("blake2b: a digest has 1 to 64 bytes, not " .. tostring(length), 2)
  end
  if #key > 64 then
    error("blake2b: a key has at most 64 bytes, not " .. #key, 2)
  end
  local h = table.move(IV, 1, 8, 1, {})
  h[1] = h[1] ~ 0x01010000 ~ (#key << 8) ~ length
  if #key > 0 then
    text = key .. ("\0"):rep(128 - #key) .. text
  end
  local total = #text
  local at = 1
  while total - at + 1 > 128 do
    compress(h, text:sub(at, at + 127), at + 127, false)
    at = at + 128
  end
  local rest = text:sub(at)
  compress(h, rest .. ("\0"):rep(128 - #rest), total, true)
  return string.pack("<i8i8i8i8i8i8i8i8", table.unpack(h)):sub(1, length)
end

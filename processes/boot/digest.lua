--- Digests with a block and a state of 32 or 64 bit words: MD5, SHA-1, SHA-256, SHA-512.
---
--- Each is a function of the bytes, as a string, to the bytes of the digest, as a string.
local digest = {}

local pack, unpack = string.pack, string.unpack

local MD5_K = {
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
}
local MD5_SHIFT = { 7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21 }
local SHA256_K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
local SHA256_H = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }
local SHA512_K = {
  0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
  0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
  0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
  0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
  0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
  0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
  0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
  0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
  0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
  0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
  0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
  0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
  0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
  0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
  0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
  0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
  0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
  0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
  0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
  0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
}
local SHA512_H = {
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

--- The bytes, a one bit, zeros, and their length in bits: a whole number of blocks.
local function padded(text, block, length_format)
  local length = #text
  local tail = pack(length_format, length * 8)
  local zeros = -(length + 1 + #tail) % block
  return text .. "\128" .. ("\0"):rep(zeros) .. tail
end

local function rotl32(x, by)
  return ((x << by) | (x >> (32 - by))) & 0xffffffff
end

function digest.md5(text)
  local a0, b0, c0, d0 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
  text = padded(text, 64, "<I8")
  for at = 1, #text, 64 do
    local w = { unpack("<I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4", text, at) }
    local a, b, c, d = a0, b0, c0, d0
    for i = 0, 63 do
      local f, g
      if i < 16 then
        f, g = (b & c) | (~b & d), i
      elseif i < 32 then
        f, g = (d & b) | (~d & c), (5 * i + 1) % 16
      elseif i < 48 then
        f, g = b ~ c ~ d, (3 * i + 5) % 16
      else
        f, g = c ~ (b | (~d & 0xffffffff)), (7 * i) % 16
      end
      local sum = (a + (f & 0xffffffff) + MD5_K[i + 1] + w[g + 1]) & 0xffffffff
      a, d, c, b = d, c, b, (b + rotl32(sum, MD5_SHIFT[(i // 16) * 4 + i % 4 + 1])) & 0xffffffff
    end
    a0, b0, c0, d0 = (a0 + a) & 0xffffffff, (b0 + b) & 0xffffffff, (c0 + c) & 0xffffffff, (d0 + d) & 0xffffffff
  end
  return pack("<I4I4I4I4", a0, b0, c0, d0)
end

function digest.sha1(text)
  local h0, h1, h2, h3, h4 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0
  text = padded(text, 64, ">I8")
  for at = 1, #text, 64 do
    local w = { unpack(">I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4", text, at) }
    for i = 17, 80 do
      w[i] = rotl32(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1)
    end
    local a, b, c, d, e = h0, h1, h2, h3, h4
    for i = 1, 80 do
      local f, k
      if i <= 20 then
        f, k = (b & c) | (~b & d), 0x5a827999
      elseif i <= 40 then
        f, k = b ~ c ~ d, 0x6ed9eba1
      elseif i <= 60 then
        f, k = (b & c) | (b & d) | (c & d), 0x8f1bbcdc
      else
        f, k = b ~ c ~ d, 0xca62c1d6
      end
      a, b, c, d, e = (rotl32(a, 5) + (f & 0xffffffff) + e + k + w[i]) & 0xffffffff, a, rotl32(b, 30), c, d
    end
    h0, h1, h2 = (h0 + a) & 0xffffffff, (h1 + b) & 0xffffffff, (h2 + c) & 0xffffffff
    h3, h4 = (h3 + d) & 0xffffffff, (h4 + e) & 0xffffffff
  end
  return pack(">I4I4I4I4I4", h0, h1, h2, h3, h4)
end

function digest.sha2_256(text)
  local h = table.move(SHA256_H, 1, 8, 1, {})
  local k = SHA256_K
  text = padded(text, 64, ">I8")
  for at = 1, #text, 64 do
    local w = { unpack(">I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4", text, at) }
    for i = 17, 64 do
      -- A word beside itself: its rotations are shifts.
      local x, y = w[i - 15], w[i - 2]
      x, y = x | x << 32, y | y << 32
      w[i] = (w[i - 16] + w[i - 7] + (x >> 7 ~ x >> 18 ~ (x & 0xffffffff) >> 3) + (y >> 17 ~ y >> 19 ~ (y & 0xffffffff) >> 10))
        & 0xffffffff
    end
    local a, b, c, d, e, f, g, i = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
    for r = 1, 64 do
      local ee, aa = e | e << 32, a | a << 32
      local t1 = i + ((ee >> 6 ~ ee >> 11 ~ ee >> 25) & 0xffffffff) + (e & f ~ ~e & g) + k[r] + w[r]
      local t2 = ((aa >> 2 ~ aa >> 13 ~ aa >> 22) & 0xffffffff) + (a & b ~ a & c ~ b & c)
      i, g, f, e, d, c, b, a = g, f, e, (d + t1) & 0xffffffff, c, b, a, (t1 + t2) & 0xffffffff
    end
    h[1], h[2], h[3], h[4] = h[1] + a & 0xffffffff, h[2] + b & 0xffffffff, h[3] + c & 0xffffffff, h[4] + d & 0xffffffff
    h[5], h[6], h[7], h[8] = h[5] + e & 0xffffffff, h[6] + f & 0xffffffff, h[7] + g & 0xffffffff, h[8] + i & 0xffffffff
  end
  return pack(">I4I4I4I4I4I4I4I4", table.unpack(h))
end

local function rotr64(x, by)
  return (x >> by) | (x << (64 - by))
end

function digest.sha2_512(text)
  local h = table.move(SHA512_H, 1, 8, 1, {})
  text = padded(text, 128, ">I16")
  for at = 1, #text, 128 do
    local w = { unpack(">i8i8i8i8i8i8i8i8i8i8i8i8i8i8i8i8", text, at) }
    for i = 17, 80 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = w[i - 16] + w[i - 7] + (rotr64(x, 1) ~ rotr64(x, 8) ~ x >> 7) + (rotr64(y, 19) ~ rotr64(y, 61) ~ y >> 6)
    end
    local a, b, c, d, e, f, g, i = table.unpack(h)
    for r = 1, 80 do
      local t1 = i + (rotr64(e, 14) ~ rotr64(e, 18) ~ rotr64(e, 41)) + (e & f ~ ~e & g) + SHA512_K[r] + w[r]
      local t2 = (rotr64(a, 28) ~ rotr64(a, 34) ~ rotr64(a, 39)) + (a & b ~ a & c ~ b & c)
      i, g, f, e, d, c, b, a = g, f, e, d + t1, c, b, a, t1 + t2
    end
    for at_h, value in ipairs({ a, b, c, d, e, f, g, i }) do
      h[at_h] = h[at_h] + value
    end
  end
  return pack(">i8i8i8i8i8i8i8i8", table.unpack(h))
end

return digest

--- MD2 (RFC 1319) and MD4 (RFC 1320), for what is old: nobody should trust them any more.
local md = {}

--- The bytes 0 to 255, in the order that the digits of pi put them.
local PI = {
   41,  46,  67, 201, 162, 216, 124,   1,  61,  54,  84, 161, 236, 240,   6,  19,
   98, 167,   5, 243, 192, 199, 115, 140, 152, 147,  43, 217, 188,  76, 130, 202,
   30, 155,  87,  60, 253, 212, 224,  22, 103,  66, 111,  24, 138,  23, 229,  18,
  190,  78, 196, 214, 218, 158, 222,  73, 160, 251, 245, 142, 187,  47, 238, 122,
  169, 104, 121, 145,  21, 178,   7,  63, 148, 194,  16, 137,  11,  34,  95,  33,
  128, 127,  93, 154,  90, 144,  50,  39,  53,  62, 204, 231, 191, 247, 151,   3,
  255,  25,  48, 179,  72, 165, 181, 209, 215,  94, 146,  42, 172,  86, 170, 198,
   79, 184,  56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116,   4, 241,
   69, 157, 112,  89, 100, 113, 135,  32, 134,  91, 207, 101, 230,  45, 168,   2,
   27,  96,  37, 173, 174, 176, 185, 246,  28,  70,  97, 105,  52,  64, 126,  15,
   85,  71, 163,  35, 221,  81, 175,  58, 195,  92, 249, 206, 186, 197, 234,  38,
   44,  83,  13, 110, 133,  40, 132,   9, 211, 223, 205, 244,  65, 129,  77,  82,
  106, 220,  55, 200, 108, 193, 171, 250,  36, 225, 123,   8,  12, 189, 177,  74,
  120, 136, 149, 139, 227,  99, 232, 109, 233, 203, 213, 254,  59,   0,  29,  57,
  242, 239, 183,  14, 102,  88, 208, 228, 166, 119, 114, 248, 235, 117,  75,  10,
   49,  68,  80, 180, 143, 237,  31,  26, 219, 153, 141,  51, 159,  17, 131,  20,
}

local BLOCK = 16

function md.md2(text)
  local fill = BLOCK - #text % BLOCK
  text = text .. string.char(fill):rep(fill)
  local sum, last = {}, 0
  for i = 1, BLOCK do
    sum[i] = 0
  end
  for at = 1, #text, BLOCK do
    for i = 1, BLOCK do
      last = sum[i] ~ PI[(text:byte(at + i - 1) ~ last) + 1]
      sum[i] = last
    end
  end
  text = text .. string.char(table.unpack(sum))

  local x = {}
  for i = 1, 48 do
    x[i] = 0
  end
  for at = 1, #text, BLOCK do
    for i = 1, BLOCK do
      x[16 + i] = text:byte(at + i - 1)
      x[32 + i] = x[16 + i] ~ x[i]
    end
    local t = 0
    for round = 0, 17 do
      for i = 1, 48 do
        t = x[i] ~ PI[t + 1]
        x[i] = t
      end
      t = (t + round) % 256
    end
  end
  return string.char(table.unpack(x, 1, BLOCK))
end

--- Of each round: what is added, how far the words are turned, the order of the words.
local MD4_ROUNDS = {
  { 0, { 3, 7, 11, 19 }, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } },
  { 0x5a827999, { 3, 5, 9, 13 }, { 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15 } },
  { 0x6ed9eba1, { 3, 9, 11, 15 }, { 0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15 } },
}

function md.md4(text)
  local length = #text
  text = text .. "\128" .. ("\0"):rep(-(length + 9) % 64) .. string.pack("<I8", length * 8)
  local a0, b0, c0, d0 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
  for at = 1, #text, 64 do
    local w = { string.unpack("<" .. ("I4"):rep(16), text, at) }
    local a, b, c, d = a0, b0, c0, d0
    for round, of in ipairs(MD4_ROUNDS) do
      for i = 1, 16 do
        local f
        if round == 1 then
          f = b & c | ~b & d
        elseif round == 2 then
          f = b & c | b & d | c & d
        else
          f = b ~ c ~ d
        end
        local x = (a + (f & 0xffffffff) + w[of[3][i] + 1] + of[1]) & 0xffffffff
        local by = of[2][(i - 1) % 4 + 1]
        a, b, c, d = d, (x << by | x >> 32 - by) & 0xffffffff, b, c
      end
    end
    a0, b0, c0, d0 = (a0 + a) & 0xffffffff, (b0 + b) & 0xffffffff, (c0 + c) & 0xffffffff, (d0 + d) & 0xffffffff
  end
  return string.pack("<I4I4I4I4", a0, b0, c0, d0)
end

return md

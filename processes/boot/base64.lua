--- Base64: four characters for three bytes.
local base64 = {}

local CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

--- The alphabet to encode with: by a number of 6 bits, its character as a byte; at 64 what fills up.
---@param plus? string
---@param slash? string
---@param fill? string
function base64.makeencoder(plus, slash, fill)
  local all = CHARACTERS .. (plus or "+") .. (slash or "/") .. (fill or "=")
  local out = {}
  for at = 1, #all do
    out[at - 1] = all:byte(at)
  end
  return out
end

--- The alphabet to decode with: by a character as a byte, its number.
function base64.makedecoder(plus, slash, fill)
  local out = {}
  for number, character in pairs(base64.makeencoder(plus, slash, fill)) do
    out[character] = number
  end
  return out
end

local encoder = base64.makeencoder()
-- Both alphabets are read where none is asked for: they differ only where the other has nothing.
local decoder = base64.makedecoder()
decoder[("-"):byte()], decoder[("_"):byte()] = 62, 63

--- Text of these bytes.
---@param text string
---@param alphabet? table
---@return string
function base64.encode(text, alphabet)
  alphabet = alphabet or encoder
  local out, char, length = {}, string.char, #text
  for at = 1, length - length % 3, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a << 16 | b << 8 | c
    out[#out + 1] = char(
      alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63], alphabet[bits & 63]
    )
  end
  local rest = length % 3
  if rest > 0 then
    local a, b = text:byte(length - rest + 1, length)
    local bits = a << 16 | (b or 0) << 8
    local fill = alphabet[64]
    out[#out + 1] = char(
      alphabet[bits >> 18], alphabet[bits >> 12 & 63], rest == 2 and alphabet[bits >> 6 & 63] or fill, fill
    )
  end
  return table.concat(out)
end

--- The bytes of such text, filled up or not. Characters of no alphabet are skipped.
---@param text string
---@param alphabet? table
---@return string
function base64.decode(text, alphabet)
  alphabet = alphabet or decoder
  local out, char = {}, string.char
  local bits, have = 0, 0
  for at = 1, #text do
    local number = alphabet[text:byte(at)]
    if number == 64 then
      break
    elseif number then
      bits, have = (bits << 6 | number) & 0xffffff, have + 6
      if have >= 8 then
        have = have - 8
        out[#out + 1] = char(bits >> have & 0xff)
      end
    end
  end
  return table.concat(out)
end

return base64

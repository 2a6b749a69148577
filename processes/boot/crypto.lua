--- Digests, MACs, key derivation and ciphers, with the names that scripts for aos use.
---
--- Text goes in as a string, or as a stream (a function that gives the next byte). What comes out says itself as
--- `asBytes()`, `asHex()` and `asString()`.
local crypto = { _version = "0.0.1" }

local plain = require(".digest")
local keccak = require(".keccak")
local blake2b = require(".blake2b")
local aes = require(".aes")
local chance = require(".chance")
local isaac = require(".isaac")
local md = require(".md")
local morus = require(".morus")
local norx = require(".norx")

local hex = {}

--- The bytes of a text, each as two digits.
function hex.stringToHex(text)
  return (text:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

--- The bytes that were written as two digits each.
function hex.hexToString(digits)
  if #digits % 2 ~= 0 or digits:find("%X") then
    error("hexToString: expected pairs of hexadecimal digits", 2)
  end
  return (digits:gsub("..", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local array = {}

--- The text whose bytes are in a list. Long lists are done in pieces: a call takes only so many arguments.
function array.toString(bytes)
  local out = {}
  for at = 1, #bytes, 4096 do
    out[#out + 1] = string.char(table.unpack(bytes, at, math.min(at + 4095, #bytes)))
  end
  return table.concat(out)
end

function array.fromString(text)
  local out = {}
  for at = 1, #text do
    out[at] = text:byte(at)
  end
  return out
end

function array.fromHex(digits)
  return array.fromString(hex.hexToString(digits))
end

function array.toHex(bytes)
  return hex.stringToHex(array.toString(bytes)):upper()
end

function array.size(bytes)
  return #bytes
end

function array.copy(bytes)
  return table.move(bytes, 1, #bytes, 1, {})
end

function array.concat(first, second)
  return table.move(second, 1, #second, #first + 1, array.copy(first))
end

function array.slice(bytes, from, to)
  return table.move(bytes, from, to, 1, {})
end

function array.truncate(bytes, length)
  return array.slice(bytes, 1, math.min(length, #bytes))
end

function array.XOR(first, second)
  local out = {}
  for at = 1, #first do
    out[at] = first[at] ~ second[at]
  end
  return out
end

--- The bytes of a list in another order: each number says which comes there.
function array.permute(bytes, order)
  local out = {}
  for at = 1, #order do
    out[at] = bytes[order[at]]
  end
  return out
end

--- What a table has in the place of each byte.
function array.substitute(bytes, instead)
  local out = {}
  for at = 1, #bytes do
    out[at] = instead[bytes[at]]
  end
  return out
end

--- A queue: what is pushed first is popped first.
local function queue()
  local items, head, tail = {}, 0, 0
  local self = {}
  function self.push(item)
    items[tail] = item
    tail = tail + 1
  end
  --- The oldest, or nil.
  function self.pop()
    if head == tail then
      return nil
    end
    local item = items[head]
    items[head] = nil
    head = head + 1
    return item
  end
  function self.size()
    return tail - head
  end
  --- How many were ever popped.
  function self.getHead()
    return head
  end
  --- How many were ever pushed.
  function self.getTail()
    return tail
  end
  function self.reset()
    items, head, tail = {}, 0, 0
  end
  return self
end

function array.writeToQueue(to, bytes)
  for at = 1, #bytes do
    to.push(bytes[at])
  end
end

--- The next bytes of a queue.
function array.readFromQueue(from, count)
  local out = {}
  for at = 1, count do
    out[at] = from.pop()
  end
  return out
end

local stream = {}

--- A function that gives the next byte, and nil at the end.
function stream.fromString(text)
  local at = 0
  return function()
    at = at + 1
    return text:byte(at)
  end
end

function stream.fromArray(bytes)
  local at = 0
  return function()
    at = at + 1
    return bytes[at]
  end
end

function stream.fromHex(digits)
  return stream.fromString(hex.hexToString(digits))
end

function stream.toArray(next_byte)
  local out = {}
  for byte in next_byte do
    out[#out + 1] = byte
  end
  return out
end

function stream.toString(next_byte)
  return array.toString(stream.toArray(next_byte))
end

function stream.toHex(next_byte)
  return hex.stringToHex(stream.toString(next_byte)):upper()
end

array.fromStream, array.toStream = stream.toArray, stream.fromArray

--- The bytes of whatever holds some: a text, a list of bytes, a stream.
local function text_of(value, what)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "table" then
    return array.toString(value)
  elseif kind == "function" then
    return stream.toString(value)
  end
  error(what .. " should be a text, a list of bytes or a stream, it is a " .. kind, 3)
end

--- Bytes, in the three ways that they can be read.
local function readable(text, upper)
  return {
    asBytes = function()
      return array.fromString(text)
    end,
    asHex = function()
      local digits = hex.stringToHex(text)
      return upper and digits:upper() or digits
    end,
    asString = function()
      return text
    end,
  }
end

local digest = { _version = "0.0.1" }
for name, compute in pairs({
  md2 = md.md2, md4 = md.md4, md5 = plain.md5, sha1 = plain.sha1, sha2_256 = plain.sha2_256, sha2_512 = plain.sha2_512,
  sha3_256 = keccak.sha3_256, sha3_512 = keccak.sha3_512,
  keccak256 = keccak.keccak256, keccak512 = keccak.keccak512,
}) do
  digest[name] = function(value)
    return readable(compute(text_of(value, name .. ": the argument")))
  end
end

--- BLAKE2b of some bytes, with a length in bytes and a key, each of which may be left out.
function digest.blake2b(value, length, key)
  return readable(blake2b(text_of(value, "blake2b: the argument"), length, key))
end

--- The digests that MACs and keys can be made with: the function and its block in bytes.
local hashes = {
  md5 = { plain.md5, 64 }, sha1 = { plain.sha1, 64 },
  sha256 = { plain.sha2_256, 64 }, sha2_256 = { plain.sha2_256, 64 },
  sha512 = { plain.sha2_512, 128 }, sha2_512 = { plain.sha2_512, 128 },
}

local function hash_of(name, who)
  local hash = hashes[name or "sha1"]
  if not hash then
    error(who .. ": the digest is md5, sha1, sha256 or sha512, not " .. tostring(name), 3)
  end
  return hash[1], hash[2]
end

local function hmac(compute, block, key)
  if #key > block then
    key = compute(key)
  end
  key = key .. ("\0"):rep(block - #key)
  local inner = key:gsub(".", function(c)
    return string.char(c:byte() ~ 0x36)
  end)
  local outer = key:gsub(".", function(c)
    return string.char(c:byte() ~ 0x5c)
  end)
  return function(text)
    return compute(outer .. compute(inner .. text))
  end
end

local mac = { _version = "0.0.1" }

--- The HMAC of some bytes under a key.
---@param value string|table|function
---@param key string|table|function
---@param name? "md5"|"sha1"|"sha256"|"sha512" sha1 when it is not given
function mac.createHmac(value, key, name)
  local compute, block = hash_of(name, "createHmac")
  return readable(hmac(compute, block, text_of(key, "createHmac: the key"))(text_of(value, "createHmac: the text")))
end

local kdf = { _version = "0.0.1" }

--- A key from a password, by PBKDF2.
---@param password string|table|function
---@param salt string|table|function
---@param iterations integer
---@param length integer bytes of the key
---@param name? "md5"|"sha1"|"sha256"|"sha512" sha1 when it is not given
function kdf.pbkdf2(password, salt, iterations, length, name)
  if math.type(iterations) ~= "integer" or iterations < 1 or math.type(length) ~= "integer" or length < 1 then
    error("pbkdf2(password, salt, iterations, length, digest): iterations and length should be positive integers", 2)
  end
  local compute, block = hash_of(name, "pbkdf2")
  local sign = hmac(compute, block, text_of(password, "pbkdf2: the password"))
  salt = text_of(salt, "pbkdf2: the salt")
  local out, made, count = {}, 0, 0
  while made < length do
    count = count + 1
    local u = sign(salt .. string.pack(">I4", count))
    local t = array.fromString(u)
    for _ = 2, iterations do
      u = sign(u)
      for at = 1, #t do
        t[at] = t[at] ~ u:byte(at)
      end
    end
    out[count] = array.toString(t)
    made = made + #u
  end
  return readable(table.concat(out):sub(1, length), true)
end

--- A word of ISAAC between two bounds.
local function bounded(word, low, high)
  if math.type(low) ~= "integer" or math.type(high) ~= "integer" or low > high then
    error("random(low, high, seed): low and high should be integers, low not above high", 3)
  end
  return low + word % (high - low + 1)
end

-- What `getRandom` goes on with; processes are loaded with the one that has no seed.
local words = isaac.new()

local cipher = {
  _version = "0.0.1",
  -- As aos spells it.
  issac = {
    encrypt = function(text, key)
      return readable(isaac.shift(text_of(text, "issac: the text"), tostring(key), 1))
    end,
    decrypt = function(text, key)
      return isaac.shift(text_of(text, "issac: the text"), tostring(key), -1)
    end,
    --- Begins again: from a seed if the second argument is true, else from none.
    seedIsaac = function(seed, is_used)
      words = isaac.new(is_used and tostring(seed) or nil)
    end,
    getRandom = function()
      return words()
    end,
    getRandomChar = function()
      return isaac.character(words)
    end,
    --- A number between two bounds, 0 and 2^31 - 1 if they are not given; the same seed gives the same number.
    random = function(low, high, seed)
      words = isaac.new(seed and tostring(seed) or nil)
      return bounded(words(), low or 0, high or 0x7fffffff)
    end,
  },
  morus = {
    variant = morus.variant, key_size = morus.key_size, nonce_size = morus.nonce_size,
    state_update = morus.state_update,
    decrypt = morus.decrypt,
    encrypt = function(key, nonce, text, header)
      return readable(morus.encrypt(key, nonce, text_of(text, "morus: the text"), header))
    end,
  },
  norx = {
    variant = norx.variant, key_size = norx.key_size, nonce_size = norx.nonce_size,
    decrypt = norx.decrypt,
    encrypt = function(key, nonce, text, header, trailer)
      return readable(norx.encrypt(key, nonce, text_of(text, "norx: the text"), header, trailer))
    end,
  },
  aes = {
    encrypt = function(text, key, iv, mode, bits)
      return readable(aes.encrypt(text_of(text, "aes: the text"), key, iv, mode, bits), true)
    end,
    --- Takes the hexadecimal digits that `encrypt(…).asHex()` gives.
    decrypt = function(digits, key, iv, mode, bits)
      return readable(aes.decrypt(hex.hexToString(digits), key, iv, mode, bits), true)
    end,
  },
}

crypto.digest, crypto.mac, crypto.kdf, crypto.cipher = digest, mac, kdf, cipher
crypto.utils = { _version = "0.0.1", hex = hex, array = array, stream = stream, queue = queue, bit = bit32 }

--- A number between two bounds; the same seed gives the same number, as on aos. Without a seed, the next of the
--- process's own: aos gives the same one each time.
function crypto.random(low, high, seed)
  if seed == nil then
    return chance.integer(low or 0, high or 0x7fffffff)
  end
  return cipher.issac.random(low, high, seed)
end

return crypto

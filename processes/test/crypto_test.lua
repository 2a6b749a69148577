local test, support = ...
local same = support.same
support.process()
local crypto = require(".crypto.init")
local digest = crypto.digest

-- Computed with OpenSSL, for lengths on both sides of where a block ends; Keccak's are known answers.
local texts = { "", "abc", ("a"):rep(55), ("a"):rep(56), ("a"):rep(64), ("b"):rep(111), ("b"):rep(112), ("b"):rep(128), ("c"):rep(135), ("c"):rep(136), ("c"):rep(71), ("c"):rep(72), ("d"):rep(1000) }
local expected = {
  md5 = "5a5c791919de9dfb9f832579c95f59278e22db08febbdb1b74486ca99917a471",
  sha1 = "4c6c12b23e665ea6b53a4a324c9f64a2a1f8379d0b8bd8b7092cc814eb3b01d7",
  sha2_256 = "c9c3d402b5bda6760b3d771c094a34cf76a91a7ec0bf024d79c3422a09f042d6",
  sha2_512 = "14f41660d2febc82757e6eee9826dc5da4aded23d814663a94a1bf8475ae2159",
  sha3_256 = "c3908003a16c430075fe7da518ce86f223b709cc738ebde2a7c09c1c6cbf230c",
  sha3_512 = "d241f3797017903691a919851b1c6eb7ce578a2e27f824b3f1ddca43aeaf78ec",
  blake2b = "f1e6e55df01d226ccdf39d410709a28085fbd6815eb559fcbafcfb711f5d2440",
}
for name, all in pairs(expected) do
  test[name .. " is the one of OpenSSL for every length"] = function()
    local out = {}
    for at, text in ipairs(texts) do
      out[at] = digest[name](text).asHex()
    end
    same(digest.sha2_256(table.concat(out)).asHex(), all)
  end
end
test["sha2_256 of abc"] = function()
  same(digest.sha2_256("abc").asHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
end
test["keccak is not SHA-3"] = function()
  same(digest.keccak256("abc").asHex(), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45")
  same(digest.keccak512("abc").asHex(), "18587dc2ea106b9a1563e32b3312421ca164c7f1f07bc922a9c83d77cea3a1e5d0c69910739025372dc14ac9642629379540c17e2a65b19d77aa511a9d00bb96")
end
test["blake2b with a length and a key"] = function()
  same(digest.blake2b("abc", 32).asHex(), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
  same(digest.blake2b("abc", 32, "key").asHex(), "0330531d097355a3f72e80d55c1245ccf79f1704431c6e3887938320442c23c0")
  same(digest.blake2b(("x"):rep(300), 20, "key").asHex(), "5ee7fdaaf4f495f2b513fc2cfe3e11b4e46aa45e")
  support.fails(function() digest.blake2b("", 65) end, "a digest has 1 to 64 bytes")
end
test["a digest takes a text, a list and a stream, and says itself in three ways"] = function()
  local made = digest.md5(crypto.utils.stream.fromString("abc"))
  same(made.asHex(), "900150983cd24fb0d6963f7d28e17f72")
  same({ made.asBytes()[1], #made.asBytes(), #made.asString() }, { 144, 16, 16 })
  same(digest.md5({ 97, 98, 99 }).asHex(), made.asHex())
  support.fails(function() digest.md5(5) end, "md5: the argument should be a text")
end
test["HMAC, also with a key longer than a block"] = function()
  same(crypto.mac.createHmac("abc", "key", "sha1").asHex(), "4fd0b215276ef12f2b3e4c8ecac2811498b656fc")
  same(crypto.mac.createHmac("abc", "key", "sha256").asHex(), "9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab")
  same(crypto.mac.createHmac("abc", "key", "sha512").asHex(), "3926a207c8c42b0c41792cbd3e1a1aaaf5f7a25704f62dfc939c4987dd7ce060009c5bb1c2447355b3216f10b537e9afa7b64a4e5391b0d631172d07939e087a")
  same(crypto.mac.createHmac(crypto.utils.stream.fromString("abc"), crypto.utils.array.fromString(("k"):rep(200)), "sha256").asHex(), "ce632aa86d6a3fd3c79f06217c0a506599d055cd38eb385b16a2939f2488f686")
end
test["PBKDF2"] = function()
  same(crypto.kdf.pbkdf2("password", "salt", 1, 20).asHex(), "0C60C80F961F0E71F3A9B524AF6012062FE037A6")
  same(crypto.kdf.pbkdf2("password", "salt", 3, 70, "sha256").asHex(), "AD35240AC683FEBFAF3CD49D845473FBBBAA2437F5F82D5A415AE00AC76C6BFCCF9A9B8D6D2FE4A1E700C4460B040DBED692C1CB85A747F35588C08930FCFC41AC4808208606")
end
test["AES with 128 bits, in every mode, there and back"] = function()
  local aes, key, iv = crypto.cipher.aes, ("This is my key.."):rep(2):sub(1, 16), ("iv"):rep(8)
  same(aes.encrypt("some data..............", key, iv, "CBC", 128).asHex(), "2E15A25C281392805EF92F1C4A0528D376C6CDCFD2DE817956B7D8477C497A50")
  same(aes.decrypt("2E15A25C281392805EF92F1C4A0528D376C6CDCFD2DE817956B7D8477C497A50", key, iv, "CBC", 128).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "ECB", 128).asHex(), "D2B946CC14B441C47ED4B241DCA69423FD9DF869FF988A0C2D6591D20FF77A5D")
  same(aes.decrypt("D2B946CC14B441C47ED4B241DCA69423FD9DF869FF988A0C2D6591D20FF77A5D", key, iv, "ECB", 128).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CFB", 128).asHex(), "E68AFB2D9B5B732CAE5478C8EBD911BD21A4A74362F2D0352C71741CC5BC63E2")
  same(aes.decrypt("E68AFB2D9B5B732CAE5478C8EBD911BD21A4A74362F2D0352C71741CC5BC63E2", key, iv, "CFB", 128).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "OFB", 128).asHex(), "E68AFB2D9B5B732CAE5478C8EBD911BD95604092386AB0F812DC71A56D5C3954")
  same(aes.decrypt("E68AFB2D9B5B732CAE5478C8EBD911BD95604092386AB0F812DC71A56D5C3954", key, iv, "OFB", 128).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CTR", 128).asHex(), "E68AFB2D9B5B732CAE5478C8EBD911BD00E72A364C2D9BE9E2C7C07F8F838F37")
  same(aes.decrypt("E68AFB2D9B5B732CAE5478C8EBD911BD00E72A364C2D9BE9E2C7C07F8F838F37", key, iv, "CTR", 128).asString(), "some data.............." .. ("\0"):rep(9))
end
test["AES with 192 bits, in every mode, there and back"] = function()
  local aes, key, iv = crypto.cipher.aes, ("This is my key.."):rep(2):sub(1, 24), ("iv"):rep(8)
  same(aes.encrypt("some data..............", key, iv, "CBC", 192).asHex(), "0874FE45A1A15EC7069460F0E1BAE17972C5664CC763DBA646EBB12AEF0B185F")
  same(aes.decrypt("0874FE45A1A15EC7069460F0E1BAE17972C5664CC763DBA646EBB12AEF0B185F", key, iv, "CBC", 192).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "ECB", 192).asHex(), "3B6F620EB9D6C32924A5B3FDF8BAD11FA67EE373646AB5E0BC6DEA0A91FD560D")
  same(aes.decrypt("3B6F620EB9D6C32924A5B3FDF8BAD11FA67EE373646AB5E0BC6DEA0A91FD560D", key, iv, "ECB", 192).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CFB", 192).asHex(), "04E16FDE78B17A67FFA4C07604DBAB1F55127659F3B0BC021250D6F81F097723")
  same(aes.decrypt("04E16FDE78B17A67FFA4C07604DBAB1F55127659F3B0BC021250D6F81F097723", key, iv, "CFB", 192).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "OFB", 192).asHex(), "04E16FDE78B17A67FFA4C07604DBAB1FE58612508FA11F00AC475341F7ADCCCF")
  same(aes.decrypt("04E16FDE78B17A67FFA4C07604DBAB1FE58612508FA11F00AC475341F7ADCCCF", key, iv, "OFB", 192).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CTR", 192).asHex(), "04E16FDE78B17A67FFA4C07604DBAB1F99167A2C1D567BDECECA313477751C63")
  same(aes.decrypt("04E16FDE78B17A67FFA4C07604DBAB1F99167A2C1D567BDECECA313477751C63", key, iv, "CTR", 192).asString(), "some data.............." .. ("\0"):rep(9))
end
test["AES with 256 bits, in every mode, there and back"] = function()
  local aes, key, iv = crypto.cipher.aes, ("This is my key.."):rep(2):sub(1, 32), ("iv"):rep(8)
  same(aes.encrypt("some data..............", key, iv, "CBC", 256).asHex(), "AEF0E5BED94B5A186984D24102BE915E06AD214CB06EC8CC0CEF4A221A97C478")
  same(aes.decrypt("AEF0E5BED94B5A186984D24102BE915E06AD214CB06EC8CC0CEF4A221A97C478", key, iv, "CBC", 256).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "ECB", 256).asHex(), "2C884DEF4237DC161441B9270EAD8DAEBAE8DF55ED4543BF5FAE436CC52516B2")
  same(aes.decrypt("2C884DEF4237DC161441B9270EAD8DAEBAE8DF55ED4543BF5FAE436CC52516B2", key, iv, "ECB", 256).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CFB", 256).asHex(), "23EAA4DF3C414D95F1544E375DD13DCF79786F01EA81797E03554ABD7A3D40FD")
  same(aes.decrypt("23EAA4DF3C414D95F1544E375DD13DCF79786F01EA81797E03554ABD7A3D40FD", key, iv, "CFB", 256).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "OFB", 256).asHex(), "23EAA4DF3C414D95F1544E375DD13DCF04A01B989431EA0F2E2FCD6928F49897")
  same(aes.decrypt("23EAA4DF3C414D95F1544E375DD13DCF04A01B989431EA0F2E2FCD6928F49897", key, iv, "OFB", 256).asString(), "some data.............." .. ("\0"):rep(9))
  same(aes.encrypt("some data..............", key, iv, "CTR", 256).asHex(), "23EAA4DF3C414D95F1544E375DD13DCFA71F585CCDD14283613CBB35A96DF9DC")
  same(aes.decrypt("23EAA4DF3C414D95F1544E375DD13DCFA71F585CCDD14283613CBB35A96DF9DC", key, iv, "CTR", 256).asString(), "some data.............." .. ("\0"):rep(9))
end
test["a counter goes over the end of its lower half"] = function()
  local iv = ("\0"):rep(8) .. ("\255"):rep(8)
  same(crypto.cipher.aes.encrypt(("\0"):rep(32), "This is my key..", iv, "CTR").asHex(), "51E1C041AD98D2EFA58F9D5E0E087F8C0EFAA1549B1B482B718DFE57F50CB467")
end
test["AES says what is wrong with its arguments"] = function()
  local aes = crypto.cipher.aes
  support.fails(function() aes.encrypt("x", "short") end, "the key should have 16 bytes, it has 5")
  support.fails(function() aes.encrypt("x", ("k"):rep(16), "iv") end, "should have 16 bytes, it has 2")
  support.fails(function() aes.encrypt("x", ("k"):rep(16), "", "XTS") end, "the mode is CBC")
  support.fails(function() aes.decrypt("xyz", ("k"):rep(16)) end, "expected pairs of hexadecimal digits")
end
test["parts have the names they have in aos"] = function()
  same(require(".crypto.digest.sha2_256") == digest.sha2_256 and require(".crypto.mac.hmac") == crypto.mac.createHmac, true)
end
test["a random number of a seed is always the same"] = function()
  same(crypto.random(1, 100, "seed"), crypto.random(1, 100, "seed"))
end

-- The suites of RFC 1319 and RFC 1320.
test["MD2 and MD4"] = function()
  for text, expected in pairs({
    [""] = "8350e5a3e24c153df2275c9f80692773 31d6cfe0d16ae931b73c59d7e0c089c0",
    a = "32ec01ec4a6dac72c0ab96fb34c0b5d1 bde52cb31de33e46245e05fbdbd6fb24",
    abc = "da853b0d3f88d99b30283a69e6ded6bb a448017aaf21d8525fc10ae87aa6729d",
    ["message digest"] = "ab4f496bfb2a530b219ff33031fe06b0 d9130a8164549fe818874806e1c7014b",
    [("1234567890"):rep(8)] = "d5976f79d83d3a0dc9806c3c66f3efd8 e33b4ddc9c38f2199c3e7b164fcc0536",
  }) do
    same(digest.md2(text).asHex() .. " " .. digest.md4(text).asHex(), expected)
  end
end

-- What aos 2.0.6 answers.
test["ISAAC"] = function()
  local isaac = crypto.cipher.issac
  same(isaac.encrypt("hello world", "key").asHex(), "5b215f355e62366627516a")
  same(isaac.decrypt(isaac.encrypt("hello world", "key").asString(), "key"), "hello world")
  isaac.seedIsaac("seed", true)
  same({ isaac.getRandom(), isaac.getRandom(), isaac.getRandomChar(), isaac.getRandomChar() }, { 4074529671, 214897596, 41, 81 })
  isaac.seedIsaac("seed", false)
  same({ isaac.getRandom(), isaac.getRandom() }, { 2680197448, 4186564416 })
  same({ isaac.random(1, 100, "s"), isaac.random(5, 5, "s"), isaac.random(0, 1000000, "t"), isaac.random(1, 100) }, { 92, 5, 494195, 49 })
  same(crypto.random(0, 4294967295, "s"), 2563057691)
  support.fails(function() isaac.random(2, 1, "s") end, "low not above high")
  isaac.seedIsaac("more than one round", true)
  for _ = 1, 300 do isaac.getRandom() end
  same(isaac.getRandom(), 986498289)
end

test["MORUS"] = function()
  local morus, key, nonce = crypto.cipher.morus, ("k"):rep(16), ("n"):rep(16)
  same({ morus.variant, morus.key_size, morus.nonce_size }, { "Morus-1280", 32, 16 })
  same(morus.encrypt(key, nonce, "hello").asHex(), "d227373bec178838733c3ae2cc90a05408c3f7fd3a")
  same(morus.encrypt(key, nonce, "hello", "ad").asHex(), "6164d99b84d3445e2a5d2a0d4446afdca284d610bdbaf2")
  local long = morus.encrypt(key .. key, nonce, ("a"):rep(100), ("d"):rep(50))
  same(long.asHex():sub(101), "b1202a50c2a2ddeb98c69bdd81717d0ba18d10305e4b689737f0d7de9c922597cb496fef46621512d466bd78b69d1fa457491f6bda254ca6aaa39dbe6971cdc5992f1a8cc7033c8129795fdf07aa8b62437b8b64d3c9dbc93ed34bd424f487b04f99ae90b3d9729b6518b5f7d96ce393d55a6591")
  same(morus.decrypt(key .. key, nonce, long.asString(), 50), ("a"):rep(100))
  same(morus.decrypt(key .. key, nonce, "e" .. long.asString():sub(2), 50), nil)
  same(morus.decrypt(key, nonce, "x"), nil)
  support.fails(function() morus.encrypt("k", nonce, "x") end, "the key should be 16 or 32 bytes")
end

test["NORX"] = function()
  local norx, key, nonce = crypto.cipher.norx, ("k"):rep(32), ("n"):rep(32)
  same({ norx.variant, norx.key_size, norx.nonce_size }, { "NORX 64-4-1", 32, 32 })
  same(norx.encrypt(key, nonce, "").asHex(), "3afb85b4d0bd69fca5735dd3de097dbf271e94c4541d97726b81bff2b91b2107")
  same(norx.encrypt(key, nonce, "hello").asHex(), "be6a9bc77692e4cdf5464549da5c6440ebd60f965a825ed6a5be1901a0cd7bf04f715d9add")
  same(norx.encrypt(key, nonce, "hello", "hd", "tr").asHex(), "0bf84f06b2d4a3da1f6b369b1ee2d321d67b47a857df09b6b906437927938e50bb25a8ccc7")
  same(norx.encrypt(key, nonce, ("a"):rep(96)).asHex():sub(-84), "4eee7df0ad091c12af5e1bb76e2eb9f1d27b211a001e3df82579eb2f2160ccbfa4827a18d8b9686f5fa2")
  local long = norx.encrypt(key, nonce, ("a"):rep(300), ("b"):rep(200), ("c"):rep(130)).asString()
  same(crypto.utils.hex.stringToHex(long):sub(-80), "9d576406ab7e4cd38d49a5a841761a1b253eab11a6229e47096321f0ac1207cbea8024a9d7aadecc")
  same(norx.decrypt(key, nonce, long, ("b"):rep(200), ("c"):rep(130)), ("a"):rep(300))
  same(norx.decrypt(key, nonce, long, ("b"):rep(200), ("c"):rep(131)), nil)
  same(norx.decrypt(key, nonce, "x"), nil)
  support.fails(function() norx.encrypt("k", nonce, "x") end, "32 bytes each")
end

test["queues and lists"] = function()
  local array, queue = crypto.utils.array, crypto.utils.queue()
  array.writeToQueue(queue, { 1, 2, 3, 4 })
  same(array.readFromQueue(queue, 2), { 1, 2 })
  same({ queue.size(), queue.getHead(), queue.getTail(), queue.pop(), queue.pop(), queue.size() }, { 2, 2, 4, 3, 4, 0 })
  same(queue.pop(), nil)
  same(array.permute({ 10, 20, 30 }, { 3, 1, 2 }), { 30, 10, 20 })
  same(array.substitute({ 0, 1, 2 }, { [0] = 7, 8, 9 }), { 7, 8, 9 })
end

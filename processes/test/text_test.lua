local test, support = ...
local same = support.same
support.process()
local base64, stringify, dump, pretty = require(".base64"), require(".stringify"), require(".dump"), require(".pretty")
local plain = support.plain

test["base64 fills up to four characters"] = function()
  same({ base64.encode(""), base64.encode("f"), base64.encode("fo"), base64.encode("foo"), base64.encode("foob") }, { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==" })
end
test["base64 reads back every byte"] = function()
  local all = {}
  for at = 0, 255 do
    all[at + 1] = string.char(at)
  end
  for length = 250, 256 do
    local text = table.concat(all, "", 1, length)
    same(base64.decode(base64.encode(text)), text)
  end
end
test["base64 takes another alphabet, and none to fill up"] = function()
  local url = base64.encode("hello?>", base64.makeencoder("-", "_"))
  same(url, "aGVsbG8_Pg==")
  same(base64.decode("aGVsbG8_Pg", base64.makedecoder("-", "_")), "hello?>")
  same(base64.decode("aGVs\nbG8_Pg"), "hello?>")
end
test["what is in itself is written once"] = function()
  local a = { 1 }
  a.self = a
  same(plain(stringify.format(a)), "{\n  1,\n   self = <circular reference>\n}")
  same(dump(a), '{\n    [1] = 1,\n    self = "<circular reference>"\n}')
  same(pretty.tprint(a), "1: 1\nself: <circular reference>\n")
end
test["a list of plain values is one line"] = function()
  same(plain(stringify.format({ 1, "a", true })), '{ 1, "a", true }')
  same(plain(stringify.format({ { 1 }, { a = 1 } })), "{\n  { 1 },\n  {\n     a = 1\n  }\n }")
end
test["a dump is read back by Lua"] = function()
  local value = { "a", ["b c"] = '"\\\n\1272\0', ["end"] = { [2.5] = false, [-1] = true } }
  same(load("return " .. dump(value))(), value)
end

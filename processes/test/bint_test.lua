local test, support = ...
local same = support.same
support.process()
local bint = require(".bint")(256)

test["numbers of 256 bits add, multiply, divide and compare"] = function()
  local a = bint("340282366920938463463374607431768211456")
  same(tostring(a * a - 1 == bint.maxinteger() * 2 + 1), "true")
  same(tostring(a + 1), "340282366920938463463374607431768211457")
  same(tostring(a // 3), "113427455640312821154458202477256070485")
  same(tostring(bint.ipow(bint(10), bint(30))), "1" .. ("0"):rep(30))
  same({ bint.__lt(bint(1), bint(2)), bint.ult(bint(-1), bint(1)), bint.__le(2, 2), bint.__eq(bint(2), bint(3)) }, { true, false, true, false })
end
test["the names that tokens use are there"] = function()
  for name in ("new zero one parse tobint fromstring fromuinteger tobase tonumber touinteger isbint iszero isneg ispos abs max min udivmod tdivmod ipow upowmod __add __sub __lt __le __eq __idiv __mod"):gmatch("%S+") do
    same(type(bint[name]), "function")
  end
end
test["text that is no number is nil"] = function()
  same({ bint.tobint("12a") == nil, bint.tobint("") == nil, bint.tobint("1.5") == nil, tostring(bint.tobint("-12")) }, { true, true, true, "-12" })
end

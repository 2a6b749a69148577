--- {{name}}: a token. What it can do is in token.lua; here is what it is.

-- What is set already stays when this file is loaded again: balances first of all.
Name = Name or "{{name}}"
Ticker = Ticker or "TKN"
-- Digits after the point. Amounts are whole numbers in the smallest unit, as text.
Denomination = Denomination or 12
-- 1,000 to whoever spawned it.
Balances = Balances or { [Owner] = "1000" .. string.rep("0", Denomination) }

require("token")

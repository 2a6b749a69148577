-- Strings: many short ones, joined by operator, by table and by format.
return function()
  local parts = {}
  for i = 1, 50000 do
    parts[#parts + 1] = "item " .. i .. " of " .. (i % 13)
  end
  local joined = table.concat(parts, ", ")
  local formatted = {}
  for i = 1, 20000 do
    formatted[i] = string.format("%05d:%s", i, parts[i])
  end
  return #joined + #table.concat(formatted)
end

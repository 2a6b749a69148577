-- Tables and comparisons: the same 50,000 numbers each time, sorted by the library and by a function.
return function()
  local seed, numbers = 42, {}
  for i = 1, 50000 do
    seed = (seed * 1103515245 + 12345) % 2147483648
    numbers[i] = seed
  end
  table.sort(numbers)
  table.sort(numbers, function(a, b) return a > b end)
  return numbers[1]
end

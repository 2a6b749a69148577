-- Coroutines: 100,000 switches there and back.
return function()
  local numbers = coroutine.wrap(function() for i = 1, 100000 do coroutine.yield(i) end end)
  local sum = 0
  for _ = 1, 100000 do sum = sum + numbers() end
  return sum
end

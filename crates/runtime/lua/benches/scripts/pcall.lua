-- Protected calls: half of them fail.
return function()
  local failed = 0
  for i = 1, 100000 do
    if not pcall(function() if i % 2 == 0 then error("even", 0) end end) then failed = failed + 1 end
  end
  return failed
end

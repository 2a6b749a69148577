local test, support = ...

--- The names that the annotations declare: those of `object`, or the global ones.
local function declared(object)
  local file = assert(io.open(support.root .. "/library/ao.lua"))
  local names, class = {}, nil
  for line in file:lines() do
    local begun = line:match("^%-%-%-@class (%w+)")
    class = begun or class
    local field = line:match("^%-%-%-@field ([%w_]+)%??%s")
    if field and class == (object:gsub("%.", ""):gsub("utils", "Utils")) then
      names[field] = true
    end
    local owner, name = line:match("^function ([%w_.]+)%.([%w_]+)%(")
    if not owner then
      owner, name = line:match("^([%w_.]+)%.([%w_]+) = ")
    end
    if owner == object then
      names[name] = true
    end
  end
  file:close()
  return names
end

for _, row in ipairs({ "ao", "Handlers", "Handlers.utils", "Utils" }) do
  test["the annotations of " .. row .. " name what is there, and all of it"] = function()
    support.process().eval("return 1")
    local object = row == "Handlers.utils" and Handlers.utils or _G[row]
    local names, there = declared(row), {}
    names.failed = nil
    for name in pairs(object) do
      there[name] = true
    end
    support.same(names, there)
  end
end

test["the global names that are annotated are there"] = function()
  support.process()
  local file = assert(io.open(support.root .. "/library/ao.lua"))
  for line in file:lines() do
    local name = line:match("^function ([%w_]+)%(") or line:match("^([%w_]+) = ")
    if name and _G[name] == nil then
      error(name .. " is annotated and does not exist")
    end
  end
  file:close()
end

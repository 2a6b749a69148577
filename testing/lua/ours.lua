--- Runs the boot library under a stock Lua, one request per line as `pirn module run --jsonl` takes them:
--- `lua5.3 testing/lua/ours.lua FOLDER_OF_PROCESSES`. A line with `fresh` begins a process.
local root = arg[1]
package.path = root .. "/boot/?.lua;" .. root .. "/test/?.lua"
local json = require("json")

-- What stands in for the module: each process has a Lua of its own, which only tables of globals can give here.
local clean, loaded = {}, {}
for key, value in pairs(_G) do
  clean[key] = value
end
for key, value in pairs(package.loaded) do
  loaded[key] = value
end
local searchers, time, random, randomseed = { table.unpack(package.searchers) }, os.time, math.random, math.randomseed

local function begin()
  for key in pairs(_G) do
    _G[key] = clean[key]
  end
  for key, value in pairs(clean) do
    _G[key] = value
  end
  for key in pairs(package.loaded) do
    package.loaded[key] = loaded[key]
  end
  for at = #package.searchers, 1, -1 do
    package.searchers[at] = nil
  end
  for at, searcher in ipairs(searchers) do
    package.searchers[at] = searcher
  end
  os.time, math.random, math.randomseed = time, random, randomseed
  return require("process")
end

local process
for line in io.lines() do
  local request = json.decode(line)
  if request.fresh then
    process = begin()
  end
  local ok, outcome = pcall(process.handle, request.message, request.env)
  if not ok then
    outcome = { Error = "the boot library failed: " .. tostring(outcome) }
  end
  -- The module writes these as they are; stock JSON has no functions.
  io.stdout:write(json.encode(outcome), "\n")
end

--- What would make two runs of the same tests differ, or end them early: chance, the time, the order of `pairs`, and
--- `os.exit`.
local host = ...

local rank = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then
    return (rank[kind_a] or 4) < (rank[kind_b] or 4)
  elseif kind_a == "number" or kind_a == "string" then
    return a < b
  elseif kind_a == "boolean" then
    return not a and b
  end
  return false
end

--- Numbers, then texts, each in their order; Lua's own order of texts is another one in each run.
function pairs(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__pairs then
    return meta.__pairs(value)
  end
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  local at = 0
  return function(all)
    local key, found
    repeat
      at = at + 1
      key = keys[at]
      found = key ~= nil and rawget(all, key)
    -- What was taken out meanwhile is not there any more.
    until key == nil or found ~= nil
    return key, found
  end, value, nil
end

function math.random(low, high)
  if low == nil then
    return host.random() / 9007199254740992.0
  end
  if high == nil then
    low, high = 1, low
  end
  low, high = math.tointeger(low), math.tointeger(high)
  if not low or not high or low > high then
    error("math.random needs whole numbers, the smaller one first", 2)
  end
  return low + host.random() % (high - low + 1)
end

function math.randomseed(seed)
  host.randomseed(math.tointeger(seed) or 0)
end

local time, date = os.time, os.date

--- Without a date: the time on the test's network.
function os.time(at)
  return at and time(at) or host.now() // 1000
end

function os.date(format, at)
  return date(format, at or os.time())
end

function os.exit()
  error("a test does not end the run: use pending() or an assertion", 2)
end

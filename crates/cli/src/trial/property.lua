--- `t.property`: the same test with many values, and the simplest of those that break it.
local host, show, t, fail = ...

--- Cases of a property, unless it says otherwise.
local RUNS = 100
--- Simpler cases that are tried once one has failed.
local SHRINKS_MAX = 500

local gen = {}

--- Of a property's values; apart from `math.random`, so that a test may use both.
local function below(n)
  return host.random() % n
end

--- A generator: how a value is drawn, and which simpler ones to try in its place, the simplest first.
local function generator(draw, simpler)
  return { draw = draw, simpler = simpler or function() return {} end, generator = true }
end

--- Whole numbers; the ends come up often.
function gen.integer(low, high)
  low, high = low or -1000, high or 1000
  local origin = low > 0 and low or high < 0 and high or 0
  return generator(function()
    local kind = below(8)
    if kind == 0 then
      return low
    elseif kind == 1 then
      return high
    elseif kind == 2 then
      return origin
    end
    return low + below(high - low + 1)
  end, function(value)
    local list, gap = {}, value - origin
    while gap ~= 0 do
      list[#list + 1] = value - gap
      gap = gap // 2 + (gap < 0 and gap % 2 or 0)
    end
    return list
  end)
end

function gen.boolean()
  return generator(function()
    return below(2) == 1
  end, function(value)
    return value and { false } or {}
  end)
end

--- One of some values, or of some generators; the first is the simplest.
function gen.one_of(choices)
  return generator(function()
    local choice = choices[below(#choices) + 1]
    if type(choice) == "table" and choice.generator then
      return choice.draw()
    end
    return choice
  end, function(value)
    local list = {}
    for _, choice in ipairs(choices) do
      if choice == value then
        break
      end
      if not (type(choice) == "table" and choice.generator) then
        list[#list + 1] = choice
      end
    end
    return list
  end)
end

--- Lists of what another generator draws.
function gen.list(of, most)
  most = most or 10
  return generator(function()
    local list = {}
    for at = 1, below(most + 1) do
      list[at] = of.draw()
    end
    return list
  end, function(value)
    local simpler = {}
    local function without(first, last)
      local list = {}
      for at, one in ipairs(value) do
        if at < first or at > last then
          list[#list + 1] = one
        end
      end
      simpler[#simpler + 1] = list
    end
    -- Half of it, then one after the other, then each by something simpler.
    local size = #value
    while size >= 1 do
      for first = 1, #value, size do
        without(first, first + size - 1)
      end
      size = size // 2
    end
    for at, one in ipairs(value) do
      for _, other in ipairs(of.simpler(one)) do
        local list = table.move(value, 1, #value, 1, {})
        list[at] = other
        simpler[#simpler + 1] = list
      end
    end
    return simpler
  end)
end

--- Texts of some characters, letters and digits without any.
function gen.string(most, characters)
  characters = characters or "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
  local all = {}
  for _, code in utf8.codes(characters) do
    all[#all + 1] = utf8.char(code)
  end
  local list = gen.list(gen.one_of(all), most or 20)
  return generator(function()
    return table.concat(list.draw())
  end, function(value)
    local split, texts = {}, {}
    for _, code in utf8.codes(value) do
      split[#split + 1] = utf8.char(code)
    end
    for at, simpler in ipairs(list.simpler(split)) do
      texts[at] = table.concat(simpler)
    end
    return texts
  end)
end

--- What a function makes of what another generator draws.
function gen.map(of, make)
  -- What was drawn is kept beside what was made of it, so that it can be made simpler.
  local drawn = setmetatable({}, { __mode = "k" })
  local function made(value)
    local result = make(value)
    if type(result) == "table" then
      drawn[result] = value
    end
    return result
  end
  return generator(function()
    return made(of.draw())
  end, function(result)
    local list = {}
    if drawn[result] ~= nil then
      for at, simpler in ipairs(of.simpler(drawn[result])) do
        list[at] = made(simpler)
      end
    end
    return list
  end)
end

t.gen = gen

local function case_of(generators)
  local case = {}
  for name, one in pairs(generators) do
    case[name] = one.draw()
  end
  return case
end

--- Each simpler case, one value changed at a time.
local function simpler_cases(generators, case)
  local cases = {}
  for name, one in pairs(generators) do
    for _, value in ipairs(one.simpler(case[name])) do
      local other = {}
      for key, same in pairs(case) do
        other[key] = same
      end
      other[name] = value
      cases[#cases + 1] = other
    end
  end
  return cases
end

--- Runs a test with many cases, each on the network as it is now: `t.property({ by = t.gen.integer(1, 9) }, function(case)
--- … case.by … end)`. Of the cases that break it, the simplest that can be found is shown.
---@param generators table<string, table> a generator for each value of a case
---@param run fun(case: table)
---@param options? { runs?: integer }
function t.property(generators, run, options)
  for name, one in pairs(generators) do
    if type(one) ~= "table" or not one.generator then
      error("t.property needs a generator for " .. tostring(name) .. ", such as t.gen.integer(1, 9)", 2)
    end
  end
  local base = host.snapshot()
  local function breaks(case)
    host.restore(base)
    local ok, problem = xpcall(run, host.locate, case)
    return not ok, problem
  end
  local runs = options and options.runs or RUNS
  for number = 1, runs do
    local case = case_of(generators)
    local broken, problem = breaks(case)
    if broken and not (type(problem) == "table" and problem.pending) then
      local left, steps = SHRINKS_MAX, 0
      local again = true
      while again and left > 0 do
        again = false
        for _, other in ipairs(simpler_cases(generators, case)) do
          left = left - 1
          local also, why = breaks(other)
          if also then
            case, problem, again, steps = other, why, true, steps + 1
            break
          elseif left <= 0 then
            break
          end
        end
      end
      -- Once more, so that the messages that are shown are of this case.
      local _, last = breaks(case)
      problem = last or problem
      host.forget(base)
      problem.message = ("case %d of %d, made simpler %d times, breaks it with %s: %s"):format(
        number, runs, steps, show(case), tostring(problem.message))
      error(problem, 0)
    elseif broken then
      host.forget(base)
      error(problem, 0)
    end
  end
  host.restore(base)
  host.forget(base)
end

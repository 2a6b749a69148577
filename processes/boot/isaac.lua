--- ISAAC, the generator of random numbers of Bob Jenkins (1996): https://burtleburtle.net/bob/rand/isaacafa.html
---
--- Numbers for games, and a cipher that hides little from who tries: 32-bit words, made from a seed that is a text.
local isaac = {}

local WORDS = 256
local GOLDEN = 0x9e3779b9
local MASK = 0xffffffff

--- One round of the mixing of eight words.
local function mix(s)
  local a, b, c, d, e, f, g, h = table.unpack(s, 1, 8)
  a = (a ~ b << 11) & MASK; d = (d + a) & MASK; b = (b + c) & MASK
  b = b ~ c >> 2; e = (e + b) & MASK; c = (c + d) & MASK
  c = (c ~ d << 8) & MASK; f = (f + c) & MASK; d = (d + e) & MASK
  d = d ~ e >> 16; g = (g + d) & MASK; e = (e + f) & MASK
  e = (e ~ f << 10) & MASK; h = (h + e) & MASK; f = (f + g) & MASK
  f = f ~ g >> 4; a = (a + f) & MASK; g = (g + h) & MASK
  g = (g ~ h << 8) & MASK; b = (b + g) & MASK; h = (h + a) & MASK
  h = h ~ a >> 9; c = (c + h) & MASK; a = (a + b) & MASK
  s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8] = a, b, c, d, e, f, g, h
end

--- A generator: a function that gives the next word.
---@param seed? string without one, the generator that every unseeded one is
---@return fun(): integer
function isaac.new(seed)
  local memory, results, given = {}, {}, WORDS
  local a, b, c = 0, 0, 0

  local s = {}
  for at = 1, 8 do
    s[at] = GOLDEN
  end
  for _ = 1, 4 do
    mix(s)
  end
  local function pass(source)
    for at = 0, WORDS - 1, 8 do
      if source then
        for i = 1, 8 do
          s[i] = (s[i] + source(at + i)) & MASK
        end
      end
      mix(s)
      table.move(s, 1, 8, at, memory)
    end
  end
  if seed then
    pass(function(at)
      return seed:byte(at) or 0
    end)
    pass(function(at)
      return memory[at - 1]
    end)
  else
    pass()
  end

  local function generate()
    c = (c + 1) & MASK
    b = (b + c) & MASK
    for at = 0, WORDS - 1 do
      local x = memory[at]
      local turn = at % 4
      if turn == 0 then
        a = a ~ a << 13
      elseif turn == 1 then
        a = a ~ a >> 6
      elseif turn == 2 then
        a = a ~ a << 2
      else
        a = a ~ a >> 16
      end
      a = ((a & MASK) + memory[(at + 128) % WORDS]) & MASK
      local y = (memory[(x >> 2) % WORDS] + a + b) & MASK
      memory[at] = y
      b = (memory[(y >> 10) % WORDS] + x) & MASK
      results[at] = b
    end
    given = 0
  end

  return function()
    if given == WORDS then
      generate()
    end
    given = given + 1
    return results[given - 1]
  end
end

--- A printable character of a generator, as a number.
function isaac.character(next_word)
  return next_word() % 95 + 32
end

--- The characters of a text, each moved on in the alphabet of the 95 printable ones: with `way` 1 to hide them, with -1
--- to show them again. What is not printable does not come back.
function isaac.shift(text, key, way)
  local next_word = isaac.new(key)
  return (text:gsub(".", function(c)
    return string.char(32 + (c:byte() - 32 + way * isaac.character(next_word)) % 95)
  end))
end

return isaac

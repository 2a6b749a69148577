local test, support = ...
local same, fails = support.same, support.fails
support.process()
local Utils = require(".utils")

local rows = {
  { "map takes both arguments", function() return Utils.map(function(x) return x * 2 end, { 1, 2 }) end, { 2, 4 } },
  { "map takes one argument after the other", function() return Utils.map(function(x) return x * 2 end)({ 1, 2 }) end, { 2, 4 } },
  { "map gives the index", function() return Utils.map(function(_, at) return at end, { "a", "b" }) end, { 1, 2 } },
  { "filter keeps the order", function() return Utils.filter(function(x) return x > 1 end, { 3, 1, 2 }) end, { 3, 2 } },
  { "reduce walks a list in order", function() return Utils.reduce(function(a, b) return a .. b end, "", { "a", "b" }) end, "ab" },
  { "reduce walks a table by its keys", function() return Utils.reduce(function(a, b, k) return a .. k .. b end, "", { b = 2, a = 1 }) end, "a1b2" },
  { "concat makes a new list", function() local a = { 1 } local b = Utils.concat(a)({ 2 }) return { a, b } end, { { 1 }, { 1, 2 } } },
  { "find gives the first", function() return Utils.find(function(x) return x > 1 end, { 1, 2, 3 }) end, 2 },
  { "propEq takes three arguments in any steps", function() return Utils.propEq("a")("1", { a = "1" }) end, true },
  { "prop reads a field", function() return Utils.prop("a")({ a = 2 }) end, 2 },
  { "includes looks through a list", function() return { Utils.includes("a", { "a" }), Utils.includes("z")({ "a" }) } end, { true, false } },
  { "keys are in order", function() return Utils.keys({ b = 1, a = 1, [2] = 1 }) end, { 2, "a", "b" } },
  { "values are in the order of keys", function() return Utils.values({ b = 1, a = 2 }) end, { 2, 1 } },
  { "reverse leaves its argument alone", function() local a = { 1, 2 } return { Utils.reverse(a), a } end, { { 2, 1 }, { 1, 2 } } },
  { "compose calls the last first", function() return Utils.compose(function(x) return x + 1 end, function(x) return x * 2 end)(3) end, 7 },
  { "curry collects nil arguments too", function() return Utils.curry(function(a, b) return tostring(a) .. tostring(b) end)(nil)(1) end, "nil1" },
  { "normalize makes names of tags", function() return { Utils.normalize("x-my_tag"), Utils.normalize("blockHeight"), Utils.normalize("a1-b") } end, { "X-My-Tag", "Blockheight", "A1-B" } },
}
for _, row in ipairs(rows) do
  test[row[1]] = function()
    same(row[2](), row[3])
  end
end

local msg = { Action = "Greet", Data = "x", Tags = { Action = "Greet", Only = "tag" }, Only = nil, Quantity = "12" }
local specs = {
  { "a text is the Action", "Greet", true },
  { "a text must be equal", "greet", false },
  { "a table needs every key", { Action = "Greet", Missing = "_" }, false },
  { "an underscore is anything", { Quantity = "_" }, true },
  { "case does not matter in a table", { Action = "GREET" }, true },
  { "a Lua pattern matches", { Quantity = "^%d+$" }, true },
  { "a Lua pattern may not match", { Quantity = "^%a+$" }, false },
  { "a broken pattern matches nothing", { Quantity = "[" }, false },
  { "a class in upper case keeps its meaning", { Quantity = "^%D+$" }, false },
  { "a hyphen is no magic", { Action = "gr-eet" }, false },
  { "a function sees value and message", { Quantity = function(v, m) return tonumber(v) > 10 and m.Data == "x" end }, true },
  { "a list is any of its entries", { Action = { "A", "Greet" } }, true },
  { "a tag that is not in the root is found", { Only = "tag" }, true },
  { "a number is no specification", 5, false },
}
for _, row in ipairs(specs) do
  test["matchesSpec: " .. row[1]] = function()
    same(Utils.matchesSpec(msg, row[2]), row[3])
  end
end

test["wrong arguments say what was expected"] = function()
  fails(function() Utils.map(1, {}) end, "map: the first argument should be a function")
  fails(function() Utils.map(print, { a = 1 }) end, "map: the second argument should be a list")
end

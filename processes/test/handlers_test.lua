local test, support = ...
local same, plain = support.same, support.plain

--- Runs setup as an Eval, sends messages with these Actions, gives what each printed.
local function check(setup, actions, expected)
  local process = support.process()
  process.eval(setup)
  local out = {}
  for at, action in ipairs(actions) do
    local outcome = process.send(type(action) == "table" and action or { Tags = { Action = action }, Data = "d" })
    out[at] = outcome.Error and "error" or plain(outcome.Output.data):gsub("^New Message.*", "inbox")
  end
  same(out, expected)
end

local names = [[
local t = {} for i, h in ipairs(Handlers.list) do t[i] = h.name end return table.concat(t, ' ')]]

local function check_order(setup, expected)
  local process = support.process()
  process.eval(setup)
  same(process.eval(names), expected)
end

test["the first handler that matches ends the walk"] = function()
  check("Handlers.add('a','X',function() print('a') end) Handlers.add('b','X',function() print('b') end)", { "X", "Y" }, { "a", "inbox" })
end
test["continue goes on, and the default handler runs when nobody ended"] = function()
  check("Handlers.add('a',function() return 'continue' end,function() print('a') end)", { "X" }, { "a\nNew Message From OOO...OOO: Action = X" })
end
test["1 is continue, 0 is skip, -1 is break"] = function()
  check([[
    Handlers.add('a', function() return 0 end, function() print('a') end)
    Handlers.add('b', function() return 1 end, function() print('b') end)
    Handlers.add('c', function() return -1 end, function() print('c') end)
    Handlers.add('d', function() return true end, function() print('d') end)]], { "X" }, { "b\nc" })
end
test["an answer that means nothing is an error"] = function()
  check("Handlers.add('a', function(m) return m.Action == 'X' and {} end, print)", { "X" }, { "error" })
end
test["utils.continue asks those after it too"] = function()
  check("Handlers.add('a',Handlers.utils.continue('X'),function() print('a') end) Handlers.add('b','X',function() print('b') end)", { "X" }, { "a\nb" })
end
test["a name alone is the Action"] = function()
  check("Handlers.add('Solo', function(m) print(m.Data) end)", { "Solo", "solo" }, { "d", "inbox" })
end
test["once runs once"] = function()
  check("Handlers.once('X', function() print('once') end)", { "X", "X" }, { "once", "inbox" })
end
test["maxRuns ends a handler, inf does not"] = function()
  check("Handlers.add('a','X',function() print('a') end,2) Handlers.add('b','Y',function() print('b') end,'inf')", { "X", "X", "X", "Y", "Y" }, { "a", "a", "inbox", "b", "b" })
end
test["a resolver runs what matches"] = function()
  check("Handlers.add('r','R',{[{Kind='1'}]=function() print('one') end,[{Kind='_'}]=function() print('any') end,[{Kind='2',More='_'}]=function() print('two') end})",
    { { Tags = { Action = "R", Kind = "1", } }, { Tags = { Action = "R", Kind = "2", More = "m" } }, { Tags = { Action = "R" } } }, { "one", "two", "" })
end
test["a handler may remove itself while it runs"] = function()
  check("Handlers.add('a','X',function() Handlers.remove('a') print('gone') end)", { "X", "X" }, { "gone", "inbox" })
end
test["a handler that was lost comes back: _eval"] = function()
  local process = support.process()
  process.eval("Handlers.list = {}")
  same(process.eval("return 1"), "1")
end
test["add replaces in place"] = function()
  check_order("Handlers.add('a','A',print) Handlers.add('b','B',print) Handlers.add('a','C',print)", "_eval _default a b")
end
test["prepend, before and after find their places"] = function()
  check_order("Handlers.add('m','M',print) Handlers.prepend('p','P',print) Handlers.before('m').add('b','B',print) Handlers.after('m').add('a','A',print) Handlers.append('z','Z',print)", "p _eval _default b m a z")
end
test["wrong arguments are refused when the handler is added"] = function()
  support.process()
  support.fails(function() Handlers.add(1, 2, 3) end, "a handler cannot be made of (number, number, number)")
  support.fails(function() Handlers.add("x") end, "a handler cannot be made of")
  support.fails(function() Handlers.add("x", "X", print, {}) end, "a handler runs at most a number of times")
end
test["Receive waits for its message, others are handled meanwhile"] = function()
  check("Handlers.add('w','Wait',function() local m = Receive({Action='Go'}) print('went '..m.Data) end)", { "Wait", "Other", "Go", "Go" }, { "", "inbox", "went d", "inbox" })
end
test["one coroutine may wait twice"] = function()
  check("Handlers.add('w','Wait',function() local a = Receive('A') local b = Receive('B') print(a.Action..b.Action) end)", { "Wait", "A", "B" }, { "", "", "AB" })
end
test["what waits is in Handlers.coroutines until it ends"] = function()
  local process = support.process()
  process.eval("Receive('Go')")
  same(process.eval("return #Handlers.coroutines"), "1")
  process.send({ Tags = { Action = "Go" } })
  process.eval("Receive('More')")
  same(process.eval("return #Handlers.coroutines"), "1")
end
test["a wait in pcall is a wait"] = function()
  check("Handlers.add('w','Wait',function() local ok, m = pcall(Receive, 'Go') print(ok, m.Data) end)", { "Wait", "Go" }, { "", "true\td" })
end
test["hasMatchingTagOf and hasMatchingData"] = function()
  check("Handlers.add('a',Handlers.utils.hasMatchingTagOf('Action',{'A','B'}),function() print('of') end) Handlers.add('d',Handlers.utils.hasMatchingData('d'),function() print('data') end)", { "B", "C" }, { "of", "data" })
end

--- Whether a process of scheduler S takes a message with these fields for a tick of its timer "sweep".
local function is_tick(fields, tags)
  local process = support.process({ tags = { Scheduler = "S" } })
  process.eval("Handlers.add('t', Handlers.utils.tick('sweep'), function(m) print('due ' .. m['Tick-Due']) end)")
  local msg = { Owner = "S", From = "S", Tags = tags or { Action = "Tick", ["Tick-Name"] = "sweep", ["Tick-Due"] = "60000" } }
  for key, value in pairs(fields) do
    msg[key] = value
  end
  local outcome = process.send(msg)
  return outcome.Error == nil and outcome.Output.data == "due 60000"
end
test["A tick is what the process's scheduler signed"] = function()
  same(is_tick({}), true)
end
test["Nobody else makes a tick, whatever its tags say"] = function()
  same(is_tick({ Owner = "W", From = "W" }), false)
  same(is_tick({ Owner = support.AUTHORITY, From = "S" }), false)
  same(is_tick({ Owner = "S", From = "other" }), false)
  local forged = { Action = "Tick", ["Tick-Name"] = "sweep", ["Tick-Due"] = "60000", Owner = "S", From = "S" }
  same(is_tick({ Owner = "W", From = "W" }, forged), false)
end
test["A tick of another process or another timer is none"] = function()
  same(is_tick({ Target = "other" }), false)
  same(is_tick({}, { Action = "Tick", ["Tick-Name"] = "other", ["Tick-Due"] = "60000" }), false)
  same(is_tick({}, { Action = "Tick" }), false)
end
test["A process without a scheduler has no ticks"] = function()
  local process = support.process()
  same(process.eval("return tostring(ao.isTick({ Tags = { ['Tick-Name'] = 'a', ['Tick-Due'] = '1' }, Target = ao.id }))"), "false")
end

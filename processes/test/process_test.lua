local test, support = ...
local same, plain = support.same, support.plain

test["an Eval of the owner answers data and a prompt"] = function()
  local outcome = support.process().send("1 + 1")
  same(outcome.Output.data, "2")
  same(plain(outcome.Output.prompt), "test@aos-2.0.6[Inbox:1]> ")
  same(outcome.Output.print, nil)
end
test["other messages answer what was printed"] = function()
  local outcome = support.process().send({ Tags = { Action = "X" } })
  same(outcome.Output.print, true)
  same(plain(outcome.Output.data), "New Message From OOO...OOO: Action = X")
end
test["statements are run, several values are shown"] = function()
  local process = support.process()
  same(process.eval("x = 5"), "")
  same(process.eval("return x, nil, 'a'"), "5\tnil\ta")
  same(process.eval("return false"), "false")
  same(process.eval("return nil"), "")
end
test["an error names the author's line"] = function()
  local outcome = support.process().send("local x = 1\nlocal y = nil + x")
  same(plain(outcome.Error):match("error:\n(.*)$"), '[string "aos"]:2: attempt to perform arithmetic on a nil value')
  same({ outcome.Messages, outcome.Spawns, outcome.Assignments, outcome.Output }, { {}, {}, {} })
end
test["a file that is named is the one in the error"] = function()
  local outcome = support.process().send({ Tags = { Action = "Eval", File = "counter.lua" }, Data = "\n\nerror('no')" })
  same(plain(outcome.Error):match("error:\n(.*)$"), "counter.lua:3: no")
end
test["text that is no Lua is an error with its line"] = function()
  same(plain(support.process().send("a = 1\nb c").Error):match("error:\n(.*)$"), '[string "aos"]:2: syntax error near \'c\'')
end
test["an error in a handler names the handler"] = function()
  local process = support.process()
  process.eval("Handlers.add('bad','Bad',function()\n error('broken') end)")
  local text = plain(process.send({ Tags = { Action = "Bad" } }).Error)
  same(text:match("^[^\n]+"), "Error in handler bad, message with Action = Bad")
  same(text:match("error:\n(.*)$"), '[string "aos"]:2: broken')
end
test["a trace has the author's lines only"] = function()
  local process = support.process()
  process.eval("function Deep(m)\n return nil + 1 end\nHandlers.add('bad','Bad',function(m)\n local x = Deep(m)\n return x end)")
  local text = plain(process.send({ Tags = { Action = "Bad" } }).Error)
  local lines = {}
  for line in text:gmatch("\t(%S+ %S+): in") do
    lines[#lines + 1] = line
  end
  same(lines, { '[string "aos"]:2', '[string "aos"]:4' })
end
test["an error after a wait names the line too"] = function()
  local process = support.process()
  process.eval("Receive('Go')\nerror('late')")
  same(plain(process.send({ Tags = { Action = "Go" } }).Error):match("error:\n(.*)$"), '[string "aos"]:2: late')
end
test["an error may be a table"] = function()
  same(plain(support.process().send("error({code = 1})").Error):match("error:\n(.*)$"), "{\n    code = 1\n}")
end
test["strangers cannot evaluate"] = function()
  local outcome = support.process().send({ From = "S", Owner = "S", Tags = { Action = "Eval" }, Data = "return 1" })
  same(plain(outcome.Output.data), "New Message From S...S: Action = Eval")
end
test["who says to be somebody else needs an authority"] = function()
  local process = support.process()
  local text = "Message is not trusted! From: " .. support.OWNER .. " - Owner: thief"
  same(process.send({ From = support.OWNER, Owner = "thief", Tags = { Action = "Eval" }, Data = "x = 1" }).Output.data, text)
  same(process.eval("return x"), "")
  same(process.from(support.OWNER, { Tags = { Action = "Eval" }, Data = "return 1" }).Output.data, "1")
end
test["a tag cannot forge an id, and so not trust"] = function()
  local process = support.process()
  local outcome = process.send({ From = support.OWNER, Owner = "thief", Tags = { Action = "Eval", Id = support.PROCESS }, Data = "x = 1" })
  same(outcome.Output.data:match("^Message is not trusted"), "Message is not trusted")
end
test["From, Owner and Target in tags stay out of the root"] = function()
  local process = support.process()
  process.send({ Tags = { Action = "X", Owner = "forged", Target = "forged", Cron = "true" } })
  same(process.eval("local m = Inbox[#Inbox] return m.Owner == Owner and m.Target == ao.id and m.Cron == false"), "true")
end
test["an assigned message is refused, and taken when it is assignable"] = function()
  local process = support.process()
  local assigned = { Target = "else", Tags = { Action = "X" } }
  local outcome = process.send(assigned)
  same({ outcome.Messages[1].Target, outcome.Messages[1].Data }, { support.OWNER, "Assignment is not trusted by this process!" })
  process.eval("ao.addAssignable('x', { Action = 'X' })")
  same(plain(process.send(assigned).Output.data), "New Message From OOO...OOO: Action = X")
  process.eval("ao.removeAssignable('x')")
  same(#process.send(assigned).Messages, 1)
end
test["names of tags are normalised; the first is in Tags, the last in the root"] = function()
  local process = support.process()
  process.send({ Tags = { { name = "x-my_tag", value = "a" }, { name = "X-My-Tag", value = "b" } } })
  same(process.eval("local m = Inbox[#Inbox] return m.Tags['X-My-Tag'] .. m['X-My-Tag'] .. #m.TagArray"), "ab2")
end
test["JSON data is decoded, broken JSON stays text"] = function()
  local process = support.process()
  local json = { ["Content-Type"] = "application/json" }
  process.send({ Tags = json, Data = '{"a":[1]}' })
  same(process.eval("return Inbox[#Inbox].Data.a[1]"), "1")
  process.send({ Tags = json, Data = "{" })
  same(process.eval("return Inbox[#Inbox].Data"), "{")
end
test["On-Boot = Data runs the data of the process"] = function()
  local process = support.process({ tags = { ["On-Boot"] = "Data" }, data = "print('hello') X = Owner" })
  same(process.boot.Output.data, "hello")
  same(process.eval("return X"), support.OWNER)
end
test["On-Boot of data that is not there says what is missing"] = function()
  local process = support.process({ tags = { ["On-Boot"] = "TX" } })
  same(process.boot.Error:find("On-Boot = TX could not be read", 1, true) ~= nil, true)
end
test["a spawned process belongs to the one that spawned it"] = function()
  local process = support.process({ tags = { ["From-Process"] = "parent" } })
  same(process.from("parent", { Tags = { Action = "Eval" }, Data = "return Owner" }).Output.data, "parent")
end
test["time is the message's"] = function()
  local process = support.process()
  same(process.eval("return os.time()"), "1002")
  same(process.eval("return os.date('!%Y')"), "1970")
end
test["dice fall the same way each time, and differently for another process"] = function()
  local function roll(id)
    local process = support.process()
    if id then
      process.eval("math.randomseed('" .. id .. "')")
    end
    return process.eval("local t = {} for i = 1, 20 do t[i] = math.random(6) end return table.concat(t)")
  end
  same(roll(), roll())
  same(roll("a") == roll("b"), false)
end
test["random numbers stay in their bounds"] = function()
  support.process()
  local low, high = 10, -10
  for _ = 1, 2000 do
    local drawn = math.random(-3, 3)
    low, high = math.min(low, drawn), math.max(high, drawn)
    local f = math.random()
    assert(f >= 0 and f < 1)
  end
  same({ low, high }, { -3, 3 })
  same(math.type(math.random(math.mininteger, math.maxinteger)), "integer")
  support.fails(function() math.random(0) end, "interval is empty")
end
test["the Inbox keeps the newest"] = function()
  local process = support.process()
  process.eval("for i = 1, 9999 do Inbox[#Inbox + 1] = i end")
  same(process.eval("return #Inbox"), "10000")
  process.send({ Tags = { Action = "Last" } })
  same(process.eval("return #Inbox, Inbox[#Inbox].Action"), "9001\tLast")
end
test["a script may replace Prompt, and even break it"] = function()
  local process = support.process()
  same(process.send("Prompt = function() return 'mine> ' end").Output.prompt, "mine> ")
  same(plain(process.send("Prompt = nil").Output.prompt), "test@aos-2.0.6[Inbox:1]> ")
end
test["print shows every kind of value"] = function()
  same(plain(support.process().eval("print('a', 1, 1.5, nil, true, {1, 2}, {a = 'b'})")), 'a\t1\t1.5\tnil\ttrue\t{ 1, 2 }\t{\n   a = "b"\n}')
end
test["files of a script and of the library do not meet"] = function()
  local process = support.process()
  process.eval("package.loaded['utils'] = { mine = true }")
  same(process.eval("return require('utils').mine and require('.utils').map ~= nil"), "true")
  support.fails(function() process.eval("require('.nothing')") end, "no part '.nothing' in the boot library")
end
for _, broken in ipairs({ "Handlers.list = nil", "Inbox = nil", "print = nil", "Handlers = nil", "Utils = nil", "ao = nil", "Name = nil", "Errors = nil", "HANDLER_PRINT_LOGS = nil", "Colors = nil" }) do
  test["the owner can still evaluate after " .. broken] = function()
    local process = support.process()
    process.eval(broken)
    same(process.eval("return 1"), "1")
    same(process.send({ Tags = { Action = "X" } }).Error, nil)
  end
end
for _, broken in ipairs({ "ao.outbox = nil", "HANDLER_PRINT_LOGS[1] = {}", "error(setmetatable({}, { __tostring = function() error('again') end }))", "error()", "ao.outbox.Messages = nil" }) do
  test["what cannot be finished is an error, not a failure of the module: " .. broken] = function()
    local ok, outcome = pcall(support.process().send, broken)
    same({ ok, type(outcome) }, { true, "table" })
    assert(outcome.Error or outcome.Output)
  end
end
test["one answer may be given to many"] = function()
  local process = support.process()
  process.eval("Answer = {Data='a'} Handlers.add('Ask', function(m) m.reply(Answer) end)")
  same(process.from("a", { Tags = { Action = "Ask" } }).Messages[1].Target, "a")
  same(process.from("b", { Tags = { Action = "Ask" } }).Messages[1].Target, "b")
end
test["a script's coroutines are its own"] = function()
  local process = support.process()
  same(process.eval("local c = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) return c() + c()"), "3")
end
test["a handler sees the environment"] = function()
  local process = support.process()
  process.eval("Handlers.add('E', function(m, env) print(env.Process.Tags.Name) end)")
  same(process.send({ Tags = { Action = "E" } }).Output.data, "test")
end
test["the library needs no files: each source under its name is enough"] = function()
  local process = support.process({ preloaded = true })
  same(process.eval("return require('.crypto.init').digest.sha2_256('abc').asHex():sub(1, 8), tostring(require('.bint')(256)(5))"), "ba7816bf\t5")
  process.eval("package.loaded['bint'] = 'mine'")
  same(process.eval("return type(require('.base64').encode), require('bint')"), "function\tmine")
  local text = plain(process.send("local x = nil\nx()").Error)
  same({ text:match("\t(%S+ %S+): in"), (select(2, text:gsub(": in ", ""))) }, { '[string "aos"]:2', 1 })
end

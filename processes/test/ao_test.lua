local test, support = ...
local same = support.same

--- What an Eval sends: target, data and the author's tags.
local function check(text, expected)
  local outcome = support.process().send(text)
  if outcome.Error then
    error(outcome.Error)
  end
  local out = {}
  for at, message in ipairs(outcome.Messages) do
    out[at] = { message.Target, message.Data or "-", support.tags(message) }
  end
  same(out, expected)
end

test["Send makes tags of fields and Tags, in a stable order"] = function()
  local message = support.process().send("Send({Target='t',Data='d',Zeta='z',Action='A',Tags={B='1',A='2'}})").Messages[1]
  local names = {}
  for at, tag in ipairs(message.Tags) do
    names[at] = tag.name
  end
  same(table.concat(names, " "), "Data-Protocol Variant Type Reference Action Zeta A B")
  same(message.Anchor, ("0"):rep(31) .. "1")
end
test["Send counts its references"] = function()
  local process = support.process()
  process.eval("Send({Target='t'})")
  same(process.send("Send({Target='t'})").Messages[1].Tags[4].value, "2")
end
test["Data that is a table is sent as JSON"] = function()
  check("Send({Target='t',Data={a={1}}})", { { "t", '{"a":[1]}', { ["Content-Type"] = "application/json" } } })
end
test["Tags may be an array"] = function()
  check("Send({Target='t',Tags={{name='A',value='1'}}})", { { "t", "-", { A = "1" } } })
end
test["Send without Target warns"] = function()
  same(support.process().send("Send({Action='x'})").Output.data:match("^WARN: No target"), "WARN: No target")
end
test["Spawn says who spawns what"] = function()
  local spawn = support.process().send("Spawn('M', {Foo='1'})").Spawns[1]
  same(spawn.Data, "NODATA")
  same(support.tags(spawn), { ["From-Process"] = support.PROCESS, ["From-Module"] = "MODULE", Module = "M", Foo = "1" })
end
test["Spawn without a module takes the process's own"] = function()
  same(support.tags(support.process().send("Spawn({})").Spawns[1]).Module, "MODULE")
end
test["Spawn waits for the new process, by receive and after"] = function()
  local process = support.process()
  process.eval("Spawn('M', {}).after(function(m) print('after ' .. m.Process) end)")
  process.eval("local m = Spawn('M', {}).receive() print('received ' .. m.Process)")
  local function spawned(reference)
    local fields = { Tags = { Action = "Spawned", Process = "new" .. reference, Reference = reference } }
    return process.from(support.PROCESS, fields).Output.data
  end
  same({ spawned("2"), spawned("1") }, { "received new2", "after new1" })
end
test["Assign asks for an assignment"] = function()
  same(support.process().send("Assign({Processes={'p'},Message='m'})").Assignments, { { Processes = { "p" }, Message = "m" } })
end
test["receive takes the answer to this message only"] = function()
  local process = support.process()
  process.eval("local m = Send({Target='t'}).receive() print('got ' .. m.Data)")
  local function answer(from, reference)
    return support.plain(process.from(from, { Tags = { ["X-Reference"] = reference }, Data = "d" }).Output.data)
  end
  same({ answer("t", "2"), answer("else", "1"), answer("t", "1") }, { "New Message From t...t: Data = d", "New Message From els...lse: Data = d", "got d" })
end
test["receive may name who answers"] = function()
  local process = support.process()
  process.eval("local m = Send({Target='t'}).receive('third') print('got ' .. m.Data)")
  same(process.from("third", { Tags = { ["X-Reference"] = "1" }, Data = "d" }).Output.data, "got d")
end
test["onReply runs its function"] = function()
  local process = support.process()
  process.eval("Send({Target='t'}).onReply(function(m) print('reply ' .. m.Data) end)")
  same(process.from("t", { Tags = { ["X-Reference"] = "1" }, Data = "d" }).Output.data, "reply d")
end
test["reply answers who asked, with their reference"] = function()
  local process = support.process()
  process.eval("Handlers.add('Ask', function(m) m.reply({Data='a'}) end)")
  local message = process.from("asker", { Tags = { Action = "Ask", Reference = "9" } }).Messages[1]
  same({ message.Target, support.tags(message) }, { "asker", { ["X-Reference"] = "9" } })
end
test["reply goes where Reply-To says, and tells the origin"] = function()
  local process = support.process()
  process.eval("Handlers.add('Ask', function(m) m.reply({Data='a'}) end)")
  local message = process.from("b", { Tags = { Action = "Ask", Reference = "9", ["Reply-To"] = "a", ["X-Reference"] = "1", ["X-Origin"] = "a" } }).Messages[1]
  same({ message.Target, support.tags(message) }, { "a", { ["X-Reference"] = "1", ["X-Origin"] = "a" } })
end
test["forward takes tags along and leaves the protocol's"] = function()
  local process = support.process()
  process.eval("Handlers.add('Ask', function(m) local _ = m.reply m.forward('c', {Extra='1'}) end)")
  local message = process.from("a", { Tags = { Action = "Ask", Reference = "9", ["X-Mine"] = "m", ["Pushed-For"] = "p" }, Data = "d" }).Messages[1]
  same({ message.Target, message.Data, support.tags(message) }, { "c", "d", {
    Action = "Ask", Extra = "1", Module = "MODULE", ["X-Mine"] = "m", ["X-Origin"] = "a", ["X-Reference"] = "9", ["Reply-To"] = "a",
  } })
end
test["authorities are in the process's tags, also as a list with commas"] = function()
  local process = support.process({ tags = { authority = "B, C" } })
  same(process.eval("return table.concat(ao.authorities, ' ')"), support.AUTHORITY .. " B C")
end
test["an authority that was taken out stays out"] = function()
  local process = support.process()
  process.eval("ao.authorities = {}")
  same(process.from("x", {}).Output.data:match("^Message is not trusted"), "Message is not trusted")
end
test["what is sent needs the right kinds"] = function()
  support.process()
  support.fails(function() ao.send("x") end, "msg should be a table")
  support.fails(function() ao.spawn() end, "the module of the process to spawn should be a text")
  support.fails(function() ao.assign({}) end, "Processes should be a table")
  support.fails(function() ao.send({ Tags = "x" }) end, "Tags should be a table")
end
test["nothing is left in the outbox for the next message"] = function()
  local process = support.process()
  process.eval("Send({Target='t'})")
  same(#process.send("return 1").Messages, 0)
end
test["clone copies what is in itself"] = function()
  support.process()
  local a = { b = { 1 } }
  a.self = a
  local copy = ao.clone(a)
  same(copy.self == copy and copy.b ~= a.b and copy.b[1], 1)
end

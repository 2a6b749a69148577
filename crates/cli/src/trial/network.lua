--- `t`: the network that a test plays with. What it does is the sandbox's; this is its Lua side.
local host, show, fail, same = ...

local t = { auto = true }
local process_meta = {}
process_meta.__index = process_meta
process_meta.__tostring = function(self)
  return self.id
end
process_meta.__eq = function(a, b)
  return tostring(a) == tostring(b)
end

--- State of one test; the runner makes it new with each snapshot.
local now = { last = nil, sender = nil, mark = 0 }

local function is_process(value)
  return getmetatable(value) == process_meta
end

--- The id of a process handle, an account's address, or a text as it is.
local function id_of(value)
  if type(value) == "table" and value.id then
    return value.id
  end
  return tostring(value)
end

local function last()
  if not now.last then
    error("there is no process yet: t.spawn one, or name one with Target", 3)
  end
  return now.last
end

--- A process, and the rest of the arguments; where the first is none, the one spawned last.
local function target_of(value, ...)
  if is_process(value) then
    return value, ...
  end
  if type(value) == "string" and host.has(value) then
    return t.process(value), ...
  end
  return last(), value, ...
end

local function text_of(value)
  if type(value) == "table" and not value.id then
    return host.encode(value)
  end
  if type(value) == "table" then
    return value.id
  end
  return tostring(value)
end

local not_tags = { Target = true, Data = true, Tags = true, From = true, Anchor = true }

--- The tags of a message: its other fields in the order of their names, then `Tags`, a list or a table by name.
local function tags_of(message)
  local tags, names = {}, {}
  local function all(from)
    names = {}
    for name in pairs(from) do
      if type(name) == "string" and not (from == message and not_tags[name]) then
        names[#names + 1] = name
      end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      tags[#tags + 1] = { name = name, value = text_of(from[name]) }
    end
  end
  all(message)
  local given = message.Tags or {}
  for _, tag in ipairs(given) do
    tags[#tags + 1] = { name = tostring(tag.name), value = text_of(tag.value) }
  end
  all(given)
  return tags
end

--- What came of a letter: `output`, `error`, `messages` (what it sent), `gas`, `slot`, `id`.
local function result_of(number)
  local letter = host.letter(number)
  local result = {
    id = letter.id, slot = letter.slot, gas = letter.gas, error = letter.error, output = letter.output,
    fate = letter.fate, number = number,
  }
  return setmetatable(result, {
    __index = function(_, key)
      if key == "messages" then
        local sent = {}
        for at = number, host.letters() - 1 do
          local one = host.letter(at)
          if one.parent == number then
            sent[#sent + 1] = t.message(one)
          end
        end
        return sent
      end
    end,
  })
end

--- A letter as a test reads it: its tags are its fields.
function t.message(letter)
  local message = { Id = letter.id, From = letter.from, Target = letter.to, Data = letter.data, Tags = letter.tags }
  return setmetatable(message, {
    __index = function(_, key)
      if key == "json" then
        return letter.data and host.decode(letter.data)
      elseif key == "number" or key == "fate" or key == "error" or key == "slot" then
        return letter[key]
      end
      return letter.tags[key]
    end,
  })
end

local function after()
  if t.auto then
    host.run()
  end
end

local function sending(message, default, sender)
  if type(message) ~= "table" then
    error("a message is a table: { Target = process, Action = 'Name', Data = 'text' }", 3)
  end
  local target = message.Target or message.Process
  local copy = {}
  for key, value in pairs(message) do
    copy[key] = value
  end
  copy.Process = nil
  return {
    by = message.From and id_of(message.From) or sender or now.sender,
    to = id_of(target or default or last()),
    tags = tags_of(copy),
    data = message.Data == nil and "" or text_of(message.Data),
  }
end

local options = { process = true, source = true, code = true, module = true, tags = true, data = true, name = true, owner = true, Tags = true, Data = true }

local function named(tags)
  for _, tag in ipairs(tags) do
    if tag.name == "Name" then
      return true
    end
  end
  return false
end

--- Spawns a process: `t.spawn("counter")` one that pirn.toml names, as `pirn up` does; `t.spawn("src/counter.lua")` a file.
--- In a table, `process` is such a name; `source` is a file of Lua (with what it requires), `code` is Lua itself; both are evaluated by the
--- owner after the boot. `module` is a .wasm file or the id of a module; Pirn's own Lua otherwise.
---@param what? string|{ process?: string, source?: string, code?: string, module?: string, tags?: table, data?: string, name?: string, owner?: any }
---@return table process
function t.spawn(what)
  if type(what) == "string" then
    what = what:find("%.lua$") and { source = what } or { process = what }
  end
  what = what or {}
  for key in pairs(what) do
    if not options[key] then
      error("t.spawn has no option " .. tostring(key) .. ": process, source, code, module, tags, data, name, owner", 2)
    end
  end
  local known = what.process and host.project(what.process) or { tags = {} }
  local owner = what.owner or known.owner
  owner = owner and id_of(owner) or now.sender
  local tags = known.tags
  for _, tag in ipairs(tags_of({ Tags = what.tags or what.Tags or {} })) do
    tags[#tags + 1] = tag
  end
  local name = what.name or what.process
  if name and not named(tags) then
    table.insert(tags, { name = "Name", value = name })
  end
  local source = what.source or known.source
  name = name or (source and source:match("([^/]+)%.lua$"))
  local id, number = host.spawn({
    by = owner, module = what.module or known.module, tags = tags, data = what.data or what.Data or " ", name = name,
  })
  local process = setmetatable({ id = id, name = name, owner = owner }, process_meta)
  now.last = process
  local boot = host.letter(number)
  if boot.error then
    error("the process did not boot: " .. boot.why, 2)
  end
  if source then
    process:load(source)
  end
  if what.code then
    process:load(nil, what.code)
  end
  after()
  return process
end

--- The handle of a process that something else spawned.
function t.process(id)
  if not host.has(id_of(id)) then
    error("there is no process " .. id_of(id), 2)
  end
  return setmetatable({ id = id_of(id), owner = host.owner(id_of(id)) }, process_meta)
end

local function eval(process, code, tags)
  local list = { { name = "Action", value = "Eval" } }
  for _, tag in ipairs(tags or {}) do
    list[#list + 1] = tag
  end
  return host.send({ by = process.owner, to = process.id, tags = list, data = code })
end

--- Loads a file, as `t.spawn{ source = … }` does, or Lua.
function process_meta:load(path, code)
  local number = eval(self, path and host.bundle(path) or code)
  local letter = host.letter(number)
  if letter.error then
    error((path or "the code") .. " could not be loaded: " .. letter.why, 0)
  end
  return letter.output
end

--- Evaluates Lua as the owner of the process; its state changes. An error of it is an error here.
---@return any value what it returns, where JSON can say that; otherwise its text
function process_meta:eval(code)
  local number = eval(self, host.eval_script(code))
  local letter = host.letter(number)
  if letter.error then
    error("the process failed: " .. letter.why, 0)
  end
  after()
  return host.eval_value(letter.raw or "")
end

--- The value of a Lua expression in the process, such as `Balances.ada` or `#Inbox`. Changes nothing.
function process_meta:state(expression)
  local outcome = host.dry({ to = self.id, by = self.owner, tags = { { name = "Action", value = "Eval" } },
    data = host.eval_script(expression) })
  if outcome.error then
    error("the state " .. tostring(expression) .. " could not be read: " .. outcome.why, 0)
  end
  return host.eval_value(outcome.raw or "")
end

--- Sends the process a message and has it evaluated; see `t.send`.
function process_meta:send(message)
  return t.send(message, self)
end

--- What a message would do. Changes nothing.
function process_meta:dry(message)
  return t.dry(message, self)
end

--- Has its next cron tick; see `t.cron`.
function process_meta:cron(times)
  return t.cron(self, times)
end

--- What the process sent in this test, oldest first.
function process_meta:sent(pattern)
  return t.sent(pattern, self)
end

--- Sends a message as the current account, evaluates it, and delivers what follows (unless `t.auto` is false).
---@param message table Target (the process spawned last, if left out), Data, and tags as fields or in `Tags`
---@return table result output, error, messages, gas, slot, id
function t.send(message, process)
  local number = host.send(sending(message, process))
  after()
  return result_of(number)
end

--- Sends a message that is on its way until `t.run()`, like those of processes.
function t.post(message, process)
  return host.post(sending(message, process))
end

--- What a message would do. Changes nothing.
---@return table result output, error, messages
function t.dry(message, process)
  local outcome = host.dry(sending(message, process))
  for at, sent in ipairs(outcome.messages) do
    local tags = {}
    for _, tag in ipairs(sent.Tags or {}) do
      tags[tag.name] = tags[tag.name] or tag.value
    end
    outcome.messages[at] = t.message({ to = sent.Target, data = sent.Data, tags = tags })
  end
  return outcome
end

--- Evaluates Lua in a process: `t.eval(code)` in the one spawned last, or `t.eval(process, code)`.
function t.eval(...)
  local process, code = target_of(...)
  return process:eval(code)
end

--- Reads state: `t.state("Count")` of the process spawned last, or `t.state(process, "Count")`.
function t.state(...)
  local process, expression = target_of(...)
  return process:state(expression)
end

local function matches(message, pattern)
  if type(pattern) == "function" then
    return pattern(message)
  end
  for key, expected in pairs(pattern or {}) do
    local got = message[key]
    if type(expected) == "function" then
      if not expected(got) then
        return false
      end
    elseif type(expected) == "table" and not expected.id then
      if key == "Data" and type(got) == "string" then
        got = message.json
      end
      if not same(expected, got) then
        return false
      end
    elseif got == nil or tostring(got) ~= id_of(expected) then
      return false
    end
  end
  return true
end

--- What processes sent in this test (or one of them), oldest first, that matches a pattern: fields and their values, or a
--- function of the message.
function t.sent(pattern, process)
  local found = {}
  for at = now.mark, host.letters() - 1 do
    local letter = host.letter(at)
    if letter.of_process and letter.what ~= "tick" and (not process or letter.from == process.id) then
      local message = t.message(letter)
      if matches(message, pattern) then
        found[#found + 1] = message
      end
    end
  end
  return found
end

--- A message as its sender wrote it.
local function shown(message)
  local tags = {}
  for name, value in pairs(message.Tags) do
    if not host.is_protocol_tag(name) then
      tags[name] = value
    end
  end
  tags.Target, tags.Data = message.Target, message.Data ~= "" and message.Data or nil
  return tags
end

--- How many fields of a pattern a message has.
local function nearness(message, pattern)
  local points = 0
  for key, value in pairs(type(pattern) == "table" and pattern or {}) do
    -- What it is for says more than whom, or how much.
    points = points + (matches(message, { [key] = value }) and (key == "Action" and 2 or 1) or 0)
  end
  return points
end

--- Fails unless a process sent such a message in this test; with a count, unless it was sent just so often.
---@return table message the first one
function t.expect(pattern, count)
  local found = t.sent(pattern)
  if (count == nil and #found > 0) or #found == count then
    return found[1]
  end
  if count then
    local times = { [0] = "never", "once", "twice" }
    local many = function(n)
      return times[n] or n .. " times"
    end
    local got = #found == 0 and "no such message" or show(shown(found[1]))
    fail("expected that this was sent " .. many(count) .. ", and it was " .. many(#found), show(pattern), got)
  end
  local nearest, best = nil, 0
  for _, message in ipairs(t.sent()) do
    local points = nearness(message, pattern)
    if points >= best then
      nearest, best = message, points
    end
  end
  if not nearest then
    fail("expected that this was sent, and nothing was sent", show(pattern), "nothing")
  elseif best == 0 then
    fail("expected that this was sent, and nothing like it was", show(pattern), show(shown(nearest)))
  end
  -- Only what the test speaks of: the rest is in the trace.
  local got = {}
  for key in pairs(pattern) do
    got[key] = nearest[key]
  end
  fail("expected that this was sent; the nearest that was differs", show(pattern), show(got))
end

--- Fails if a process sent such a message in this test.
function t.expect_none(pattern)
  return t.expect(pattern, 0)
end

--- Delivers what is on its way, and what follows from it. How many letters that were.
function t.run()
  return host.run()
end

--- Delivers one letter. False if none is due.
function t.step()
  return host.step()
end

local units = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

local function milliseconds(span)
  if type(span) == "number" then
    return math.floor(span)
  end
  local sum, rest = 0, tostring(span)
  rest = rest:gsub("%s*([%d.]+)%s*(%a+)%s*", function(number, unit)
    local factor = units[unit] or units[unit:sub(1, 1)]
    if not factor or not tonumber(number) then
      error("'" .. tostring(span) .. "' is no time: 3m, 1h 30m, 250ms, or a number of milliseconds", 4)
    end
    sum = sum + tonumber(number) * factor
    return ""
  end)
  if rest ~= "" or tostring(span) == "" then
    error("'" .. tostring(span) .. "' is no time: 3m, 1h 30m, 250ms, or a number of milliseconds", 3)
  end
  return math.floor(sum)
end

t.clock = {}

--- Lets time pass: `'3m'`, `'1h 30m'`, or milliseconds. Crons tick and blocks are mined meanwhile.
---@return integer ticks how many there were
function t.clock.advance(span)
  local ticks = host.advance(milliseconds(span))
  after()
  return ticks
end

--- Milliseconds since 1970, as processes are told.
function t.clock.now()
  return host.now()
end

--- Mines blocks now.
function t.clock.mine(blocks)
  return host.mine(blocks or 1)
end

--- The height of the newest block.
function t.clock.height()
  return host.height()
end

setmetatable(t.clock, {
  __call = function(_, span)
    return t.clock.advance(span)
  end,
})

--- Moves the clock to the next tick of a process (the one spawned last), so often.
function t.cron(...)
  local process, times = target_of(...)
  for _ = 1, times or 1 do
    if not host.tick(process.id) then
      error("the process has no timer and no cron: spawn it with tags = { ['Tick-Interval'] = '1-minute' }", 2)
    end
    after()
  end
end

--- From now on what is on its way is delivered in an order that the seed decides (the run's, if left out), and so much of
--- it gets lost, is sent twice or comes late as is said: `drop` and `duplicate` between 0 and 1, `delay` a time.
---@param seed? integer
---@param faults? { drop?: number, duplicate?: number, delay?: any }
function t.reorder(seed, faults)
  return t.faults(faults or {}, seed, true)
end

--- The same without another order.
function t.faults(faults, seed, reorder)
  host.faults({
    seed = seed, reorder = reorder or faults.reorder or false,
    drop = math.floor((faults.drop or 0) * 1000), duplicate = math.floor((faults.duplicate or 0) * 1000),
    delay = faults.delay and milliseconds(faults.delay) or 0,
  })
end

--- Whoever has that name: `t.account("ada").id` is the address that `pirn accounts` shows.
function t.account(name)
  local account = { id = host.account(name), name = name }
  return setmetatable(account, {
    __tostring = function(self)
      return self.id
    end,
    __index = {
      --- Sends as this account; see `t.send`.
      send = function(self, message)
        return t.as(self, function()
          return t.send(message)
        end)
      end,
    },
  })
end

--- Sends as an account from now on, or only while a function runs.
---@param who any an account, its name, or a process
---@param run? function
function t.as(who, run)
  local before = now.sender
  if type(who) == "string" and #who ~= 43 then
    who = t.account(who)
  end
  now.sender = id_of(who)
  if not run then
    return who
  end
  local results = table.pack(pcall(run))
  now.sender = before
  if not results[1] then
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

--- The messages that came for an account in this test.
function t.inbox(who)
  return t.sent({ Target = id_of(type(who) == "string" and #who ~= 43 and t.account(who) or who) })
end

local names = {}
for _, name in ipairs(host.accounts()) do
  names[name] = true
end
setmetatable(t, {
  __index = function(_, key)
    if names[key] then
      return t.account(key)
    end
  end,
})

return t, now

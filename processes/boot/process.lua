--- A process: takes one message after the other, and answers each with what it sends and prints.
---
--- `handle(msg, env)` is all that the module calls. A message goes through here in this order: it is made readable
--- (`ao.extract`), it is refused where it is not to be trusted, handlers are shown it in a coroutine, and what they sent
--- and printed becomes the outcome. An error is an outcome too, and names the author's line, not ours.
local sources = require("names").sources
sources[debug.getinfo(1, "S").short_src] = true

local process = { _version = "2.0.6" }

local utils = require(".utils")
local stringify = require(".stringify")
local dump = require(".dump")
local chance = require(".chance")
local ao = require(".ao")
local handlers = require(".handlers")
local json = require("json")

local colors = stringify.colors
local type, select, tostring = type, select, tostring

package.loaded["ao"] = ao
package.loaded[".process"] = process

-- What a script may use, change and replace.
_G.ao = ao
_G.Handlers = handlers
_G.Utils = utils
_G.Dump = dump
_G.Inbox = _G.Inbox or {}
_G.Errors = _G.Errors or {}
_G.Colors = colors
_G.Bell = "\7"
_G.Name = _G.Name or "aos"
_G.Seeded = false
_G.HANDLER_PRINT_LOGS = {}

--- One value as `print` shows it.
local function shown(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "table" then
    local meta = getmetatable(value)
    if type(meta) == "table" and meta.__tostring then
      return tostring(value)
    end
    return stringify.format(value)
  elseif kind == "number" then
    return colors.green .. tostring(value) .. colors.reset
  elseif kind == "boolean" then
    return colors.blue .. tostring(value) .. colors.reset
  elseif kind == "nil" then
    return colors.red .. "nil" .. colors.reset
  end
  return tostring(value)
end

--- What was printed since the message came. A script may read it as `HANDLER_PRINT_LOGS`.
local lines = {}

local function write(line)
  lines[#lines + 1] = line
end

--- Several values in one line.
local function line_of(show, ...)
  local count = select("#", ...)
  if count == 1 then
    return show((...))
  end
  local parts = { ... }
  for at = 1, count do
    parts[at] = show(parts[at])
  end
  return table.concat(parts, "\t", 1, count)
end

--- Adds a line to the Output of the result.
function _G.print(...)
  write(line_of(shown, ...))
end

--- What an Eval gives is shown without colours, but for tables.
local function result_shown(value)
  local kind = type(value)
  if kind == "table" then
    return shown(value)
  end
  return tostring(value)
end

local eval = require(".eval")(function(...)
  write(line_of(result_shown, ...))
end)
local on_boot = require(".boot")(eval)
local default = require(".default")(function()
  if type(_G.Inbox) ~= "table" then
    _G.Inbox = {}
  end
  return _G.Inbox
end)

local prompt_name, prompt_count, prompt_text

--- The line before the cursor. A script may replace it. It is the same for many messages, and remembered.
local function prompt()
  local name, count = tostring(_G.Name), type(_G.Inbox) == "table" and #_G.Inbox or 0
  if name ~= prompt_name or count ~= prompt_count then
    prompt_name, prompt_count = name, count
    prompt_text = table.concat({
      colors.green, name, colors.gray, "@", colors.blue, "aos-", process._version, colors.gray, "[Inbox:", colors.red,
      count, colors.gray, "]", colors.reset, "> ",
    })
  end
  return prompt_text
end
_G.Prompt = prompt

local function prompt_now()
  local ok, text = pcall(_G.Prompt)
  if ok and type(text) == "string" then
    return text
  end
  return prompt()
end

function _G.Version()
  print("version: " .. process._version)
end

--- Prints the tags of a message.
function _G.Tab(msg)
  local tags = {}
  for _, tag in ipairs(msg.TagArray or {}) do
    tags[tag.name] = tag.value
  end
  print(tags)
end

--- Sends a message; see `ao.send`.
function _G.Send(msg)
  if type(msg) ~= "table" then
    error("Send needs a message: a table with Target, and Data or tags; it was given a " .. type(msg), 2)
  end
  if not msg.Target then
    write("WARN: No target specified for message. Data will be stored, but no process will receive it.")
  end
  local sent = ao.send(msg)
  return { output = "Message added to outbox", receive = sent.receive, onReply = sent.onReply }
end

--- Spawns a process; the module may be left out, and is then this process's own.
function _G.Spawn(module, msg)
  if type(module) == "table" or module == nil then
    module, msg = ao._module, module
  end
  local spawned = ao.spawn(module, msg or {})
  local answered = { onReply = spawned.onReply, after = spawned.after }
  return setmetatable(
    { output = "Spawn process request added to outbox", receive = spawned.receive },
    { __index = answered }
  )
end

--- Asks for an assignment; see `ao.assign`.
function _G.Assign(what)
  ao.assign(what)
  write("Assignment added to outbox.")
  return "Assignment added to outbox."
end

--- Waits for a message; see `Handlers.receive`.
function _G.Receive(pattern)
  return handlers.receive(pattern)
end

-- The clock and the dice of a process are its messages.
local now = 0
local calendar = os.time
function os.time(date)
  if date ~= nil and calendar then
    return calendar(date)
  end
  return now
end
local written = os.date
function os.date(format, date)
  return written(format, date or now // 1000)
end
math.random = chance.random
math.randomseed = chance.seed

-- What hangs on each message. Few messages are answered: the functions are made when they are looked up.
local given = {}

--- Answers whoever asked, or whoever the message says that the answer should go to.
function given.reply(msg)
  return function(answer)
    if type(answer) ~= "table" then
      error("reply needs a message: a table with Data or tags; it was given a " .. type(answer), 2)
    end
    -- The same answer may be given to many: it stays as it is.
    local copy = {}
    for key, value in pairs(answer) do
      copy[key] = value
    end
    copy.Target = msg["Reply-To"] or answer.Target or msg.From
    copy["X-Reference"] = msg["X-Reference"] or msg.Reference
    copy["X-Origin"] = msg["X-Origin"]
    return ao.send(copy)
  end
end

--- Sends the message on, changed as `changes` say; the answer to it goes to whoever sent it.
function given.forward(msg)
  return function(target, changes)
    local copy = ao.sanitize(msg)
    for key, value in pairs(changes or {}) do
      copy[key] = value
    end
    copy.Target = target
    copy["Reply-To"] = msg["Reply-To"] or msg.From
    copy["X-Reference"] = msg["X-Reference"] or msg.Reference
    copy["X-Origin"] = msg["X-Origin"] or msg.From
    -- A copy has no functions hanging on it.
    return ao.send(setmetatable(copy, nil))
  end
end

local message_meta = {
  __index = function(msg, key)
    local make = given[key]
    if make then
      local made = make(msg)
      rawset(msg, key, made)
      return made
    end
  end,
}

local function is_eval(msg)
  return msg.Action == "Eval" and msg.From == _G.Owner
end

local function has(name)
  for _, handler in ipairs(handlers.list) do
    if handler.name == name then
      return true
    end
  end
  return false
end

--- The handlers that every process has. A script that lost them gets them back: without, nobody could repair it.
local function keep_own_handlers()
  if type(handlers.list) ~= "table" then
    handlers.list = {}
  end
  if not has("_eval") then
    handlers.prepend("_eval", is_eval, eval)
  end
  if not has("_default") then
    handlers.append("_default", function()
      return true
    end, default)
  end
end

--- The first message: who owns the process, what it is called, how its dice fall.
local function begin(msg)
  _G.Seeded = true
  chance.seed(table.concat({
    tostring(msg["Block-Height"]), tostring(msg.Owner), tostring(msg.Module), tostring(msg.Id),
  }, "\0"))
  local described = ao.env.Process or {}
  local tags = described.Tags or {}
  if _G.Owner == nil then
    _G.Owner = tags["From-Process"] or described.Owner or msg.From
  end
  if _G.Name == "aos" and tags.Name then
    _G.Name = tags.Name
  end
end

local function outcome(evaluated)
  local output = { data = table.concat(lines, "\n"), prompt = prompt_now() }
  if evaluated then
    output.test = dump(lines)
  else
    output.print = true
  end
  return ao.result({ Output = output })
end

--- What is said of a failure. The first line of the trace that is the author's is the one that helps.
local function failure(msg, problem, trace)
  local text = problem
  if type(problem) == "table" then
    local meta = getmetatable(problem)
    text = meta and meta.__tostring and tostring(problem) or dump(problem)
  else
    text = tostring(problem)
  end
  local own = {}
  for line in trace:gmatch("[^\n]+") do
    local source = line:match("^\t(.+):%d+: in ")
    if source and not sources[source] then
      own[#own + 1] = line
    end
  end
  local report = ""
  if msg.Action ~= "Eval" then
    report = colors.red
      .. "Error"
      .. colors.gray
      .. " in handler "
      .. colors.green
      .. tostring(handlers.running)
      .. colors.gray
      .. ", message with Action = "
      .. tostring(msg.Action)
      .. colors.reset
  end
  if #own > 0 then
    report = report .. "\n" .. colors.gray .. table.concat(own, "\n") .. colors.reset
  end
  return report .. "\n\n" .. colors.red .. "error:\n" .. colors.reset .. text
end

--- Is the message to be believed? Who sends directly is; who had it pushed must be an authority's.
local function is_trusted(msg)
  return msg.From == msg.Owner or msg.Id == ao.id or ao.isTrusted(msg)
end

--- What is done with a message in its coroutine.
local function walk(msg)
  if msg.Id == ao.id and msg.Tags["On-Boot"] then
    handlers.running = "_boot"
    on_boot(msg)
  end
  return handlers.evaluate(msg, ao.env)
end

local function handle(msg, env)
  ao.init(env)
  ao.extract(msg)
  now = tonumber(msg.Timestamp) or now
  ao.Nonce = msg.Nonce
  lines = {}
  _G.HANDLER_PRINT_LOGS = lines
  if not _G.Seeded then
    begin(msg)
  end
  keep_own_handlers()
  if not is_trusted(msg) then
    write("Message is not trusted! From: " .. tostring(msg.From) .. " - Owner: " .. tostring(msg.Owner))
    return outcome(false)
  end
  if msg.Id ~= ao.id and ao.isAssignment(msg) and not ao.isAssignable(msg) then
    ao.send({ Target = msg.From, Data = "Assignment is not trusted by this process!" })
    write("Assignment is not trusted! From: " .. tostring(msg.From) .. " - Owner: " .. tostring(msg.Owner))
    return outcome(false)
  end
  if msg["Content-Type"] == "application/json" and type(msg.Data) == "string" then
    local ok, data = pcall(json.decode, msg.Data)
    if ok then
      msg.Data = data
    end
  end
  setmetatable(msg, message_meta)

  handlers.running, handlers.failed = nil, nil
  local run = coroutine.create(walk)
  local ok, problem = coroutine.resume(run, msg)
  if not ok then
    return ao.result({ Error = failure(msg, problem, debug.traceback(handlers.failed or run)) })
  end
  if coroutine.status(run) == "suspended" then
    local waiting = {}
    for _, one in ipairs(handlers.coroutines) do
      if coroutine.status(one) == "suspended" then
        waiting[#waiting + 1] = one
      end
    end
    waiting[#waiting + 1] = run
    handlers.coroutines = waiting
  end
  return outcome(msg.Action == "Eval")
end

--- Handles one message.
---
--- It never fails: a script can break what this library stands on, and that is an error of the message too.
---@param msg table `{ Id, From, Owner, Target, Tags = { {name, value} }, Data, Timestamp, … }`
---@param env table `{ Process, Module }`
---@return { Output: table, Messages: table[], Spawns: table[], Assignments: table[], Error: string|nil }
function process.handle(msg, env)
  local ok, result = pcall(handle, msg, env)
  if ok then
    return result
  end
  local said, text = pcall(tostring, result)
  return {
    Error = "the message could not be finished: " .. (said and type(text) == "string" and text or type(result)),
    Messages = {},
    Spawns = {},
    Assignments = {},
  }
end

return process

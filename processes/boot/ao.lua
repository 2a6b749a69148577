--- The process as ao knows it: who it is, whom it trusts, and what it sends.
---
--- Everything that is sent goes to `ao.outbox`; the messenger unit takes it from the result of the message. An outbox
--- is only made where something is put in it: [`ao.result`] fills in what is missing.
local ao = {
  _version = "0.0.6",
  id = "",
  _module = "",
  authorities = {},
  reference = 0,
  outbox = { Output = {}, Messages = {}, Spawns = {}, Assignments = {} },
  assignables = {},
  env = {},
  --- Names that a tag does not bring into the root of a message.
  nonExtractableTags = {
    "Data-Protocol", "Variant", "From-Process", "From-Module", "Type", "From", "Owner", "Anchor", "Target", "Data",
    "Tags", "Read-Only",
  },
  --- Names that are not taken along when a message is forwarded.
  nonForwardableTags = {
    "Data-Protocol", "Variant", "From-Process", "From-Module", "Type", "From", "Owner", "Anchor", "Target", "Tags",
    "TagArray", "Hash-Chain", "Timestamp", "Nonce", "Epoch", "Signature", "Forwarded-By", "Pushed-For", "Read-Only",
    "Cron", "Block-Height", "Reference", "Id", "Reply-To",
  },
}

local utils = require(".utils")
local assignment = require(".assignment")
local json = require("json")

local normalize = utils.normalize
local type, pairs, ipairs, tostring = type, pairs, ipairs, tostring

--- The names of a list as a set. Made again when a script replaced or grew the list.
local sets = setmetatable({}, { __mode = "k" })
local function set_of(list)
  local set = sets[list]
  if not set or set.count ~= #list then
    set = { count = #list, names = {} }
    for _, name in ipairs(list) do
      set.names[name] = true
    end
    sets[list] = set
  end
  return set.names
end

local function add_authorities(text)
  for authority in tostring(text):gmatch("[^,%s]+") do
    if not utils.includes(authority, ao.authorities) then
      table.insert(ao.authorities, authority)
    end
  end
end

--- Learns who the process is. Costs little after the first message: an environment that was seen is kept.
---@param env table `{ Process = { Id, Owner, Tags = { {name, value} } }, Module = {…} }`
function ao.init(env)
  ao.clearOutbox()
  local process = env and env.Process or {}
  if ao.id ~= "" and process.Id == ao.id then
    return
  end
  ao.id = process.Id or ""
  local tags = {}
  local array = process.Tags or {}
  for _, tag in ipairs(array) do
    local name = normalize(tag.name)
    tag.name = name
    if name == "Authority" then
      add_authorities(tag.value)
    elseif name == "Module" and ao._module == "" then
      ao._module = tag.value
    end
    if tags[name] == nil then
      tags[name] = tag.value
    end
  end
  process.TagArray, process.Tags = array, tags
  ao.env = env or {}
end

--- What the units say of a message. Its author may name a tag so, and find it in `Tags`; the root stays true.
local facts = {}
for name in ("Id Timestamp Block-Height Nonce Epoch Hash-Chain Cron Forwarded-By Signature TagArray"):gmatch("%S+") do
  facts[name] = true
end

--- Makes the message what handlers see: names normalised, `Tags` a table by name, tags in the root.
---
--- Of several tags with one name the first is in `Tags`, the last in the root, all in `TagArray`.
---@param msg table as the compute unit gives it; it is changed
---@return table
function ao.extract(msg)
  local kept = set_of(ao.nonExtractableTags)
  local array, tags = msg.Tags or {}, {}
  for at = 1, #array do
    local tag = array[at]
    local name, value = normalize(tag.name), tag.value
    tag.name = name
    if tags[name] == nil then
      tags[name] = value
    end
    if not kept[name] and not (facts[name] and msg[name] ~= nil) then
      msg[name] = value
    end
  end
  msg.TagArray, msg.Tags = array, tags
  return msg
end

--- Puts the tags of a message (an array of names and values) into its root, but for those the protocol owns.
---@param msg table
---@return table msg
function ao.normalize(msg)
  local kept = set_of(ao.nonExtractableTags)
  for _, tag in ipairs(msg.Tags or {}) do
    if not kept[tag.name] then
      msg[tag.name] = tag.value
    end
  end
  return msg
end

--- A copy, to any depth.
---@param value any
---@param seen? table
---@return any
function ao.clone(value, seen)
  if type(value) ~= "table" then
    return value
  end
  seen = seen or {}
  if seen[value] then
    return seen[value]
  end
  local out = {}
  seen[value] = out
  for key, inner in next, value do
    out[ao.clone(key, seen)] = ao.clone(inner, seen)
  end
  return setmetatable(out, getmetatable(value))
end

--- A copy of a message without what must not be taken along when it is forwarded.
---@param msg table
---@return table
function ao.sanitize(msg)
  local left_out = set_of(ao.nonForwardableTags)
  local out = {}
  for key, value in next, msg do
    if not left_out[key] and type(value) ~= "function" then
      out[key] = ao.clone(value)
    end
  end
  return out
end

--- Is the message from, or carried by, one of the authorities?
---@param msg table
---@return boolean
function ao.isTrusted(msg)
  local authorities = ao.authorities
  for at = 1, #authorities do
    local authority = authorities[at]
    if msg.From == authority or msg.Owner == authority then
      return true
    end
  end
  return false
end

--- Is the message a tick: did the process's own scheduler write it, because one of the process's timers was due?
---
--- Only the scheduler can sign one. Anybody can send a message with `Action = Tick`: ask this, or match with
--- `Handlers.utils.tick(name)`.
---@param msg table
---@return boolean
function ao.isTick(msg)
  local process = ao.env.Process
  local scheduler = process and process.Tags and process.Tags.Scheduler
  local tags = msg.Tags
  return scheduler ~= nil
    and msg.Owner == scheduler
    and msg.From == scheduler
    and msg.Target == ao.id
    and type(tags) == "table"
    and tags["Tick-Name"] ~= nil
    and tags["Tick-Due"] ~= nil
end

--- What an outbox has for Output before anything was logged.
local no_output = {}
ao.outbox.Output = no_output

--- Every message begins with an empty outbox.
function ao.clearOutbox()
  local outbox = ao.outbox
  if #outbox.Messages > 0 or #outbox.Spawns > 0 or #outbox.Assignments > 0 or outbox.Output ~= no_output then
    ao.outbox = { Output = no_output, Messages = {}, Spawns = {}, Assignments = {} }
  end
end

--- Notes a line for the result's Output.
---@param text any
function ao.log(text)
  if type(ao.outbox.Output) == "string" then
    ao.outbox.Output = ao.outbox.Output .. "\n" .. tostring(text)
  else
    ao.outbox.Output = tostring(text)
  end
end

local function add_tag(tags, name, value)
  tags[#tags + 1] = { name = name, value = value }
end

--- Tags of the author: the root's other fields in the order of their names, then `Tags`, an array or a table by name.
local function add_tags(tags, msg, own)
  local names, count = {}, 0
  for key in next, msg do
    if not own[key] then
      count = count + 1
      names[count] = key
    end
  end
  if count > 1 then
    table.sort(names, function(a, b)
      return tostring(a) < tostring(b)
    end)
  end
  for at = 1, count do
    local value = msg[names[at]]
    if type(value) ~= "function" then
      add_tag(tags, names[at], value)
    end
  end
  local given = msg.Tags
  if given == nil then
    return
  end
  if type(given) ~= "table" then
    error("Tags should be a table, it is a " .. type(given), 3)
  end
  if type(given[1]) == "table" then
    for _, tag in ipairs(given) do
      add_tag(tags, tag.name, tag.value)
    end
  else
    for _, name in ipairs(utils.keys(given)) do
      add_tag(tags, name, given[name])
    end
  end
end

--- Data as text; a table is written as JSON, and a tag says so.
local function add_data(out, msg)
  local data = msg.Data
  if type(data) == "table" then
    data = json.encode(data)
    add_tag(out.Tags, "Content-Type", "application/json")
  end
  out.Data = data
end

local function next_reference()
  ao.reference = ao.reference + 1
  return tostring(ao.reference)
end

local function anchor(reference)
  return ("0"):rep(32 - #reference) .. reference
end

local message_fields = { Target = true, Data = true, Anchor = true, Tags = true, From = true }
local process_fields = { Target = true, Data = true, Anchor = true, Tags = true, From = true, Module = true }

--- What waits for an answer: made only where a script asks for it.
local function waiting(pattern_from, pattern)
  local handlers = require(".handlers")
  return function(from, f)
    if f == nil then
      f, from = from, nil
    end
    pattern_from(pattern, from)
    handlers.once(pattern, f)
  end, function(from)
    pattern_from(pattern, from)
    return handlers.receive(pattern)
  end
end

local function from_answerer(pattern, from)
  if from then
    pattern.From = from
  end
end

local function keep(_, _) end

--- `onReply` and `receive` come into being when they are looked up: most messages are sent and forgotten.
---@param sent table
---@param pattern fun(): table
---@param change fun(pattern: table, from?: string)
local function answerable(sent, pattern, change)
  return setmetatable(sent, {
    __index = function(self, key)
      if key ~= "onReply" and key ~= "receive" and key ~= "after" then
        return nil
      end
      local on_reply, receive = waiting(change, pattern())
      if key == "receive" then
        return receive
      end
      return on_reply
    end,
  })
end

--- Sends a message. What is sent is in the result of the current message, if that ends without an error.
---
--- Besides `Target`, `Data` and `Tags`, every field becomes a tag.
---@param msg table
---@return table sent with `receive([from])` and `onReply([from,] f)`
function ao.send(msg)
  if type(msg) ~= "table" then
    error("msg should be a table, it is a " .. type(msg), 2)
  end
  local reference = next_reference()
  local tags = {
    { name = "Data-Protocol", value = "ao" },
    { name = "Variant", value = "ao.TN.1" },
    { name = "Type", value = "Message" },
    { name = "Reference", value = reference },
  }
  local target = msg.Target
  local out = { Target = target, Anchor = anchor(reference), Tags = tags }
  add_data(out, msg)
  add_tags(tags, msg, message_fields)
  table.insert(ao.outbox.Messages, out)
  return answerable({ Target = target, Data = out.Data, Anchor = out.Anchor, Tags = tags }, function()
    return { From = target, ["X-Reference"] = reference }
  end, from_answerer)
end

--- Asks for a new process of that module. The answer is a message with `Action = Spawned` and its id in `Process`.
---@param module string
---@param msg? table
---@return table spawned with `receive()`, `onReply(f)`, `after(f)`
function ao.spawn(module, msg)
  if type(module) ~= "string" then
    error("the module of the process to spawn should be a text (its id), it is a " .. type(module), 2)
  end
  msg = msg or {}
  if type(msg) ~= "table" then
    error("msg should be a table, it is a " .. type(msg), 2)
  end
  local reference = next_reference()
  local tags = {
    { name = "Data-Protocol", value = "ao" },
    { name = "Variant", value = "ao.TN.1" },
    { name = "Type", value = "Process" },
    { name = "From-Process", value = ao.id },
    { name = "From-Module", value = ao._module },
    { name = "Module", value = module },
    { name = "Reference", value = reference },
  }
  local out = { Anchor = anchor(reference), Tags = tags }
  add_data(out, msg)
  if out.Data == nil then
    out.Data = "NODATA"
  end
  add_tags(tags, msg, process_fields)
  table.insert(ao.outbox.Spawns, out)
  return answerable({ Data = out.Data, Anchor = out.Anchor, Tags = tags }, function()
    return { Action = "Spawned", From = ao.id, Reference = reference }
  end, keep)
end

--- Asks that a message which exists be assigned to processes.
---@param what { Processes: string[], Message: string }
function ao.assign(what)
  if type(what) ~= "table" then
    error("assignment should be a table, it is a " .. type(what), 2)
  end
  if type(what.Processes) ~= "table" then
    error("Processes should be a table, it is a " .. type(what.Processes), 2)
  end
  if type(what.Message) ~= "string" then
    error("Message should be a text (the message's id), it is a " .. type(what.Message), 2)
  end
  table.insert(ao.outbox.Assignments, what)
end

--- What the process answers to a message: the outbox, and what is given here.
---@param result? table
---@return table
function ao.result(result)
  result = result or {}
  if ao.outbox.Error or result.Error then
    return { Error = result.Error or ao.outbox.Error, Messages = {}, Spawns = {}, Assignments = {} }
  end
  return {
    Output = result.Output or ao.outbox.Output,
    Messages = ao.outbox.Messages,
    Spawns = ao.outbox.Spawns,
    Assignments = ao.outbox.Assignments,
  }
end

--- Kept for scripts that call it; there is nothing to remember on a network of one protocol.
function ao.registerHint(_) end

assignment.install(ao)

return ao

--- What tests share: processes that are sent messages, and a comparison that says what differs.
local root = ...
local path = root .. "/boot/?.lua;" .. root .. "/test/?.lua"
local support = { root = root }

package.path = path

-- A Lua as it is before any process: what the process changes is put back.
local clean, loaded, searchers = {}, {}, { table.unpack(package.searchers) }
for key, value in pairs(_G) do
  clean[key] = value
end
for key, value in pairs(package.loaded) do
  loaded[key] = value
end
local standard = { time = os.time, date = os.date, random = math.random, seed = math.randomseed }

function support.start_again()
  package.path = path
  for name in pairs(package.preload) do
    package.preload[name] = nil
  end
  for key in pairs(_G) do
    _G[key] = clean[key]
  end
  for key, value in pairs(clean) do
    _G[key] = value
  end
  for key in pairs(package.loaded) do
    package.loaded[key] = loaded[key]
  end
  while #package.searchers > 0 do
    table.remove(package.searchers)
  end
  for at, searcher in ipairs(searchers) do
    package.searchers[at] = searcher
  end
  os.time, os.date, math.random, math.randomseed = standard.time, standard.date, standard.random, standard.seed
end

--- The files as the module has them: under their names, with no path to look on and nothing that reaches out.
local function preload()
  package.path = ""
  local list = assert(io.popen('ls "' .. root .. '/boot"'))
  for file in list:lines() do
    local name = file:match("^(.*)%.lua$")
    if name then
      local source = assert(io.open(root .. "/boot/" .. file)):read("a")
      package.preload[name] = function(...)
        return assert(load(source, "@boot/" .. file))(...)
      end
    end
  end
  list:close()
  package.preload.json = assert(loadfile(root .. "/test/json.lua"))
  for at = #package.searchers, 2, -1 do
    package.searchers[at] = nil
  end
  _G.io, _G.dofile, _G.loadfile = nil, nil, nil
end

support.PROCESS, support.OWNER, support.AUTHORITY = ("P"):rep(43), ("O"):rep(43), ("A"):rep(43)

--- Begins a process. `send` gives it a message; a text is evaluated as its owner.
function support.process(options)
  options = options or {}
  support.start_again()
  if options.preloaded then
    preload()
  end
  local process = require("process")
  local self = { count = 0 }
  local function tags()
    local out = {
      { name = "Name", value = "test" },
      { name = "Module", value = "MODULE" },
      { name = "Authority", value = support.AUTHORITY },
    }
    for name, value in pairs(options.tags or {}) do
      out[#out + 1] = { name = name, value = value }
    end
    return out
  end
  local function env()
    return {
      Process = { Id = support.PROCESS, Owner = support.OWNER, Tags = tags() },
      Module = { Id = "MODULE", Owner = "M", Tags = {} },
    }
  end

  --- `given` is Lua to evaluate, or fields of a message; its `Tags` may be a table by name.
  function self.send(given)
    if type(given) == "string" then
      given = { Tags = { Action = "Eval" }, Data = given }
    end
    self.count = self.count + 1
    local msg = {
      Id = "message-" .. self.count, Owner = support.OWNER, From = support.OWNER, Target = support.PROCESS, Data = "",
      Timestamp = 1000 + self.count, ["Block-Height"] = self.count, Nonce = self.count - 1, Module = "MODULE", Cron = false,
    }
    for key, value in pairs(given) do
      msg[key] = value
    end
    local array = {}
    local names = {}
    for name in pairs(given.Tags or {}) do
      names[#names + 1] = name
    end
    table.sort(names, function(a, b)
      return tostring(a) < tostring(b)
    end)
    for _, name in ipairs(names) do
      local value = given.Tags[name]
      array[#array + 1] = type(value) == "table" and { name = value.name, value = value.value }
        or { name = name, value = value }
    end
    msg.Tags = array
    return process.handle(msg, env())
  end

  --- A message that another process sent: an authority brought it.
  function self.from(sender, fields)
    fields.From, fields.Owner = sender, support.AUTHORITY
    return self.send(fields)
  end

  --- What an Eval prints; fails when it fails.
  function self.eval(text)
    local outcome = self.send(text)
    if outcome.Error then
      error(outcome.Error, 2)
    end
    return outcome.Output.data
  end

  --- Loads a blueprint as a user does.
  function self.blueprint(name)
    local file = assert(io.open(root .. "/blueprints/" .. name .. ".lua"))
    local text = file:read("a")
    file:close()
    return self.eval(text)
  end

  self.boot = self.send({ Id = support.PROCESS, Tags = tags(), Data = options.data or " " })
  return self
end

local function show(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local keys, out = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for at, key in ipairs(keys) do
    out[at] = tostring(key) .. "=" .. show(value[key])
  end
  return "{" .. table.concat(out, ", ") .. "}"
end
support.show = show

--- Fails unless both are the same, to any depth.
function support.same(got, expected)
  local a, b = show(got), show(expected)
  if a ~= b then
    error(("got      %s\nexpected %s"):format(a, b), 2)
  end
end

--- Fails unless `f` fails with a text that has `part` in it.
function support.fails(f, part)
  local ok, problem = pcall(f)
  if ok then
    error("it did not fail; expected: " .. part, 2)
  end
  if not tostring(problem):find(part, 1, true) then
    error(("it failed with %s\nexpected %s"):format(tostring(problem), part), 2)
  end
end

--- The tags of a sent message by name, without what every message has.
function support.tags(message)
  local out = {}
  for _, tag in ipairs(message.Tags) do
    if not (tag.name == "Data-Protocol" or tag.name == "Variant" or tag.name == "Type" or tag.name == "Reference") then
      out[tag.name] = tag.value
    end
  end
  return out
end

--- The text without its colours.
function support.plain(text)
  return (text:gsub("\27%[%d+m", ""))
end

return support

--- What a process does with messages: a list of handlers, each with a name, a pattern and a function.
---
--- A message is shown to them in order. Each whose pattern matches is run; the first that does not say "continue" ends
--- the walk. The handler `_default` is run when none has ended it, wherever it stands in the list.
local handlers = {
  _version = "0.0.5",
  list = {},
  coroutines = {},
  onceNonce = 0,
  utils = require(".handlers-utils"),
  --- The name of the handler that runs: an error report names it.
  running = nil,
  --- The waiting coroutine in which an error began, where it is not the one of the message.
  failed = nil,
}

local utils = require(".utils")
local dump = require(".dump")
local type, pairs, ipairs = type, pairs, ipairs

local usage = "expected name (text), pattern (text for an Action, function or table), "
  .. "handle (function, or table of pattern = function), and how often at most (a number or 'inf'), or only name and handle"

local function is_pattern(value)
  local kind = type(value)
  return kind == "string" or kind == "function" or kind == "table"
end

local function is_handle(value)
  return type(value) == "function" or type(value) == "table"
end

local function place(name)
  for at, handler in ipairs(handlers.list) do
    if handler.name == name then
      return at
    end
  end
end

--- A handle that looks at the message again and runs the first function whose pattern matches.
---@param spec table<any, function>
---@return function
function handlers.generateResolver(spec)
  -- The order of a table is not one that people can see: what asks for more comes first, and then the alphabet decides.
  local order = {}
  for pattern, handle in pairs(spec) do
    local asks = type(pattern) == "table" and 0 or 1
    if type(pattern) == "table" then
      for _, value in pairs(pattern) do
        asks = asks + (value == "_" and 1 or 100)
      end
    end
    order[#order + 1] = { pattern = pattern, handle = handle, asks = asks, text = dump(pattern) }
  end
  table.sort(order, function(a, b)
    if a.asks ~= b.asks then
      return a.asks > b.asks
    end
    return a.text < b.text
  end)
  return function(msg)
    for _, one in ipairs(order) do
      if utils.matchesSpec(msg, one.pattern) then
        return one.handle(msg)
      end
    end
  end
end

--- Reads the arguments of `add` and its kin.
---@return { name: string, pattern: any, handle: function, maxRuns: integer|string|nil }
local function read(level, name, pattern, handle, max_runs)
  if handle == nil then
    pattern, handle = name, pattern
  end
  if type(name) ~= "string" or not is_pattern(pattern) or not is_handle(handle) then
    -- A name and a text alone: aos lets a handler be without a function and fails at the message. Better now.
    error("a handler cannot be made of (" .. type(name) .. ", " .. type(pattern) .. ", " .. type(handle) .. "): " .. usage, level)
  end
  if max_runs ~= nil and type(max_runs) ~= "number" and max_runs ~= "inf" then
    error("a handler runs at most a number of times, or 'inf', not a " .. type(max_runs) .. ": " .. usage, level)
  end
  if type(handle) == "table" then
    handle = handlers.generateResolver(handle)
  end
  return { name = name, pattern = pattern, handle = handle, maxRuns = max_runs }
end

--- Puts a handler at a place, or in the place of the one with its name.
local function put(handler, at)
  local known = place(handler.name)
  if known then
    handlers.list[known] = handler
  else
    table.insert(handlers.list, at or #handlers.list + 1, handler)
  end
  return #handlers.list
end

--- Adds a handler after the others, or in the place of the one with its name.
---@param name string
---@param pattern string|function|table with two arguments, the name is the Action
---@param handle? function|table
---@param max_runs? integer|"inf"
---@return integer how many there are
function handlers.add(name, pattern, handle, max_runs)
  return put(read(3, name, pattern, handle, max_runs))
end

handlers.append = handlers.add

--- Adds a handler before the others.
---@return integer how many there are
function handlers.prepend(name, pattern, handle, max_runs)
  return put(read(3, name, pattern, handle, max_runs), 1)
end

--- Adds a handler that is run for one message only.
---@param ... any `[name,] pattern, handle`
---@return integer how many there are
function handlers.once(...)
  local name, pattern, handle = ...
  if select("#", ...) < 3 then
    name, pattern, handle = "_once_" .. handlers.onceNonce, name, pattern
    handlers.onceNonce = handlers.onceNonce + 1
  end
  return put(read(3, name, pattern, handle, 1), 1)
end

--- `before(name).add(…)` adds a handler before the one of that name.
---@param name string
---@return { add: function }
function handlers.before(name)
  return {
    add = function(...)
      return put(read(3, ...), place(name))
    end,
  }
end

--- `after(name).add(…)` adds a handler after the one of that name.
---@param name string
---@return { add: function }
function handlers.after(name)
  return {
    add = function(...)
      local at = place(name)
      return put(read(3, ...), at and at + 1)
    end,
  }
end

--- Removes a handler.
---@param name string
function handlers.remove(name)
  local at = place(name)
  if at then
    table.remove(handlers.list, at)
  end
end

--- Waits for the first message that matches, and answers with it. The messages in between are handled as ever.
---@param pattern string|function|table
---@return table
function handlers.receive(pattern)
  local waiting = coroutine.running()
  if not coroutine.isyieldable() then
    error("Receive waits, and can be called only while a message is handled", 2)
  end
  local mine = handlers.running
  handlers.once(pattern, function(msg)
    local theirs = handlers.running
    local done, problem = coroutine.resume(waiting, msg)
    if not done then
      -- The message that was waited for fails; where it failed is in the other coroutine.
      handlers.failed = handlers.failed or waiting
      error(problem, 0)
    end
    handlers.running = theirs
  end)
  local msg = coroutine.yield()
  handlers.running = mine
  return msg
end

--- What a pattern's answer means: -1 run and end, 0 skip, 1 run and go on.
local meanings = { ["break"] = -1, ["continue"] = 1, skip = 0 }

local function meaning(answer, name)
  local kind = type(answer)
  if kind == "boolean" then
    return answer and -1 or 0
  elseif kind == "number" then
    return answer
  elseif kind == "string" then
    return meanings[answer] or 0
  elseif kind == "nil" then
    return 0
  end
  error("the pattern of handler '" .. name .. "' answered a " .. kind .. ": it may answer a boolean, -1, 0, 1, 'break', 'skip' or 'continue'", 0)
end

-- The list that the walk before walked over: it is used again.
local spare

--- Shows a message to the handlers.
---@param msg table
---@param env table
---@return string|nil "handled" when one of them ended the walk
function handlers.evaluate(msg, env)
  -- Handlers may add and remove handlers: the walk is over the list as it was.
  local list = handlers.list
  local count = #list
  local walk = table.move(list, 1, count, 1, spare or {})
  spare = nil
  local default
  for at = 1, count do
    local handler = walk[at]
    local name, pattern = handler.name, handler.pattern
    if name == "_default" then
      default = handler
    else
      local kind = type(pattern)
      local match = 0
      if kind == "string" then
        match = msg.Action == pattern and -1 or 0
      else
        handlers.running = name
        match = meaning(utils.matchesSpec(msg, pattern), name)
      end
      if match ~= 0 then
        handlers.running = name
        if type(handler.maxRuns) == "number" then
          handler.maxRuns = handler.maxRuns - 1
          if handler.maxRuns <= 0 then
            local now = place(name)
            if now and handlers.list[now] == handler then
              table.remove(handlers.list, now)
            end
          end
        end
        handler.handle(msg, env)
        if match < 0 then
          spare = walk
          return "handled"
        end
      end
    end
  end
  spare = walk
  if default then
    handlers.running = "_default"
    default.handle(msg, env)
  end
end

return handlers

--- Patterns and handles that many scripts need.
local helpers = { _version = "0.0.3" }

local utils = require(".utils")

--- Matches messages with that tag.
---@param name string
---@param value string
---@return fun(msg: table): boolean
function helpers.hasMatchingTag(name, value)
  if type(name) ~= "string" or type(value) ~= "string" then
    error("hasMatchingTag(name, value): both should be texts", 2)
  end
  return function(msg)
    return msg.Tags[name] == value
  end
end

--- Matches messages whose tag has one of the values.
---@param name string
---@param values string[]
---@return fun(msg: table): boolean
function helpers.hasMatchingTagOf(name, values)
  if type(name) ~= "string" or type(values) ~= "table" then
    error("hasMatchingTagOf(name, values): a text and a list", 2)
  end
  return function(msg)
    return utils.includes(msg.Tags[name], values)
  end
end

--- Matches messages with that data.
---@param value string
---@return fun(msg: table): boolean
function helpers.hasMatchingData(value)
  if type(value) ~= "string" then
    error("hasMatchingData(value): it should be a text", 2)
  end
  return function(msg)
    return msg.Data == value
  end
end

--- Matches ticks of the process's own timers, and nothing that somebody else sent.
---@param name? string of one timer only
---@return fun(msg: table): boolean
function helpers.tick(name)
  if name ~= nil and type(name) ~= "string" then
    error("tick(name): the name of a timer, a text, or nothing for all", 2)
  end
  return function(msg)
    return require(".ao").isTick(msg) and (name == nil or msg.Tags["Tick-Name"] == name)
  end
end

--- A handle that answers always the same: a text as Data, or a message.
---@param answer string|table
---@return fun(msg: table)
function helpers.reply(answer)
  if type(answer) ~= "string" and type(answer) ~= "table" then
    error("reply(answer): it should be a text or a table", 2)
  end
  return function(msg)
    if type(answer) == "string" then
      msg.reply({ Data = answer })
    else
      local copy = {}
      for key, value in pairs(answer) do
        copy[key] = value
      end
      msg.reply(copy)
    end
  end
end

--- The pattern, but handlers after it are asked too.
---@param pattern string|function|table
---@return fun(msg: table): any
function helpers.continue(pattern)
  return function(msg)
    local match = utils.matchesSpec(msg, pattern)
    if not match or match == 0 or match == "skip" then
      return match
    end
    return 1
  end
end

return helpers

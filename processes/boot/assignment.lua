--- Messages that were written to somebody else and assigned to this process: which of them it takes.
local assignment = {}

local utils = require(".utils")

--- Adds what concerns assignments to `ao`.
---@param ao table
function assignment.install(ao)
  --- Takes assigned messages that match. A second pattern of the same name replaces the first.
  ---@param name string|function|table may be left out
  ---@param pattern? function|string|table
  function ao.addAssignable(name, pattern)
    if pattern == nil then
      if name == nil then
        error("addAssignable needs a pattern: a text, a function or a table", 2)
      end
      table.insert(ao.assignables, { pattern = name })
      return
    end
    if type(name) ~= "string" then
      error("the name of an assignable should be a text, it is a " .. type(name), 2)
    end
    for _, known in ipairs(ao.assignables) do
      if known.name == name then
        known.pattern = pattern
        return
      end
    end
    table.insert(ao.assignables, { name = name, pattern = pattern })
  end

  --- Forgets a pattern.
  ---@param name string|integer its name or place
  function ao.removeAssignable(name)
    if type(name) == "number" then
      table.remove(ao.assignables, name)
      return
    end
    for at, known in ipairs(ao.assignables) do
      if known.name == name then
        table.remove(ao.assignables, at)
        return
      end
    end
  end

  --- Was the message written to another process?
  ---@param msg table
  ---@return boolean
  function ao.isAssignment(msg)
    return msg.Target ~= ao.id
  end

  --- Is there a pattern that takes it?
  ---@param msg table
  ---@return boolean
  function ao.isAssignable(msg)
    for _, known in ipairs(ao.assignables) do
      if utils.matchesSpec(msg, known.pattern) then
        return true
      end
    end
    return false
  end
end

return assignment

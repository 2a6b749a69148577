--- What becomes of a message that no handler took: it is kept in `Inbox`, and a line says so.

local ao = require(".ao")
local colors = require(".stringify").colors
local print = print

--- Messages that are kept. The oldest of them go a thousand at a time, so that a full Inbox costs each message little.
local INBOX_MAX = 10000
local DROPPED = 1000

local function short(id)
  id = tostring(id)
  return id:sub(1, 3) .. "..." .. id:sub(-3)
end

--- The handler.
---@param inbox fun(): table the Inbox as it is now: a script may have replaced it
---@return fun(msg: table)
return function(inbox)
  return function(msg)
    local kept = inbox()
    local count = #kept + 1
    kept[count] = msg
    if count > INBOX_MAX then
      table.move(kept, DROPPED + 1, count + DROPPED, 1)
    end
    if msg.Id == ao.id then
      -- The process itself: its author knows of it.
      return
    end
    local what, value = "Action", msg.Action
    if not value then
      what, value = "Data", msg.Data
      if type(value) == "table" then
        value = "a table"
      end
    end
    print(
      colors.gray
        .. "New Message From "
        .. colors.green
        .. short(msg.From)
        .. colors.gray
        .. ": "
        .. colors.gray
        .. what
        .. " = "
        .. colors.blue
        .. tostring(value or ""):sub(1, 20)
        .. colors.reset
    )
  end
end

--- Takes each message of a process once: one that a messenger carried twice is not a second one.
---
--- A process numbers what it sends (`Reference`), so sender and number tell a repeat. Messages of people are left alone:
--- their item's id is what a scheduler knows them by. Load this before anything that moves value.

local because = require("lib.because")

--- Messages that are remembered, the oldest forgotten first. A repeat comes soon after its first or never.
local SEEN_MAX = 4096

Seen = Seen or { known = {}, ring = {}, at = 0 }

local function is_repeat(msg)
  if msg.From == msg.Owner or type(msg.Reference) ~= "string" or #msg.Reference > 64 then
    return false
  end
  local key = msg.From .. ":" .. msg.Reference
  if Seen.known[key] then
    return true
  end
  Seen.at = Seen.at % SEEN_MAX + 1
  local oldest = Seen.ring[Seen.at]
  if oldest then
    Seen.known[oldest] = nil
  end
  Seen.ring[Seen.at], Seen.known[key] = key, true
  return false
end

Handlers.prepend("once", is_repeat, function(msg)
  because("a repeat of message " .. msg.Reference .. " of " .. msg.From .. " is ignored")
end)

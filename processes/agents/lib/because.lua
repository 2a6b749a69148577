--- Says why: what a handler did with a message leaves one line in the message's outcome, for `pirn trace`.
---
--- `because RULE: REASON; REASON`. The rule is the name of the handler that took the message; the reasons are what the
--- agent gave with `because("…")` on its way. The line is the last one of the output, so whatever a stranger has a handler
--- print is not taken for it. What the boot library's own handlers do (their names begin with `_`) says nothing: the
--- output of an Eval stays what it was. aos does not know which handler it runs: there the rule is `handler`.

--- Reasons of one message, and bytes of one of them. A reason may quote what a stranger sent.
local REASONS_MAX = 8
local REASON_BYTES_MAX = 200

--- `evaluate` is what shows messages to handlers; `reasons` are those of the message that is handled. Both stay when this
--- file is loaded again.
Because = Because or { evaluate = Handlers.evaluate, reasons = {} }

function Handlers.evaluate(...)
  Because.reasons = {}
  local result = Because.evaluate(...)
  local rule, reasons = Handlers.running, Because.reasons
  local is_known = rule ~= nil and rule:sub(1, 1) ~= "_"
  if is_known and result == "handled" or rule == nil and #reasons > 0 then
    print("because " .. (rule or "handler") .. (#reasons > 0 and ": " .. table.concat(reasons, "; ") or ""))
  end
  return result
end

--- Gives a reason for what is done with the message that is handled now, or for doing nothing.
---@param reason string
local function because(reason)
  if #Because.reasons < REASONS_MAX then
    table.insert(Because.reasons, (tostring(reason):sub(1, REASON_BYTES_MAX):gsub("%c", " ")))
  end
end

return because

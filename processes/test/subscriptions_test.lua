local test, support = ...
local same = support.same

--- A process that says `Price` to `x` when it is told to.
local function source()
  local process = support.process()
  process.blueprint("subscriptions")
  process.eval([[
    Handlers.add("say", "Say", function(msg)
      Send({ Target = msg.To or "x", Action = msg.What or "Price", Quantity = msg.Quantity, Data = "d" .. (msg.Quantity or "") })
    end)
  ]])
  return process
end

--- Sends a message; gives what came of it: target, Action, and some tags.
local function ask(process, from, action, tags, timestamp)
  tags = tags or {}
  tags.Action = action
  local outcome = process.from(from, { Tags = tags, Data = "", Timestamp = timestamp })
  if outcome.Error then
    error(outcome.Error, 2)
  end
  local out = {}
  for at, message in ipairs(outcome.Messages) do
    local sent = support.tags(message)
    local said = { message.Target, sent.Action }
    for _, name in ipairs({ "Number", "Published-Action", "Published-Target", "Missed", "Reason", "Error" }) do
      if sent[name] then
        said[#said + 1] = name .. "=" .. sent[name]
      end
    end
    out[at] = table.concat(said, " ")
  end
  return out, outcome.Messages
end

test["who subscribes has a copy, which is never taken for the original"] = function()
  local process = source()
  same(ask(process, "s", "Subscribe"), { "s Subscribed" })
  local said, messages = ask(process, "u", "Say", { Quantity = "5", What = "Credit-Notice" })
  same(said, { "x Credit-Notice", "s Published Number=1 Published-Action=Credit-Notice Published-Target=x" })
  local copied = support.tags(messages[2])
  same({ copied["Published-Quantity"], copied.Quantity or "-", messages[2].Data, copied.Subscription }, { "5", "-", "d5", "1" })
end
test["a filter chooses by action, recipient and tags"] = function()
  local process = source()
  ask(process, "a", "Subscribe", { Actions = "Price,Other" })
  ask(process, "b", "Subscribe", { Recipients = "y" })
  ask(process, "c", "Subscribe", { Tags = "Quantity=7" })
  local function receivers(tags)
    local out = {}
    for _, said in ipairs(ask(process, "u", "Say", tags)) do
      if said:find(" Published ", 1, true) then
        out[#out + 1] = said:match("^%S+")
      end
    end
    return out
  end
  same(receivers({ Quantity = "1" }), { "a" })
  same(receivers({ What = "Else", To = "y" }), { "b" })
  same(receivers({ What = "Else", Quantity = "7" }), { "c" })
  same(receivers({ To = "y", Quantity = "7" }), { "a", "b", "c" })
end
test["a budget ends with a word"] = function()
  local process = source()
  ask(process, "s", "Subscribe", { Budget = "2", Actions = "Price" })
  ask(process, "u", "Say")
  same(ask(process, "u", "Say"), {
    "x Price", "s Published Number=2 Published-Action=Price Published-Target=x", "s Subscription-Ended Reason=budget",
  })
  same(ask(process, "u", "Say"), { "x Price" })
end
test["time ends it, by the message's own clock"] = function()
  local process = source()
  ask(process, "s", "Subscribe", { Expires = "2000", Actions = "Price" }, 1000)
  same(#ask(process, "u", "Say", nil, 1999), 2)
  same(ask(process, "u", "Say", nil, 2000), { "x Price", "s Subscription-Ended Reason=expired" })
  same(ask(process, "u", "Say", nil, 2001), { "x Price" })
end
test["a window holds back, and what is missed is told"] = function()
  local process = source()
  ask(process, "s", "Subscribe", { Window = "1", Actions = "Price" })
  same(#ask(process, "u", "Say"), 2)
  same(#ask(process, "u", "Say"), 1)
  same(#ask(process, "u", "Say"), 1)
  ask(process, "s", "Subscription-Ack", { Subscription = "1", Number = "1" })
  same(ask(process, "u", "Say")[2], "s Published Number=2 Published-Action=Price Published-Target=x Missed=2")
end
test["only the subscriber ends or replaces a subscription"] = function()
  local process = source()
  ask(process, "s", "Subscribe", { Actions = "Price" })
  same(ask(process, "t", "Unsubscribe", { Subscription = "1" }), { "t Subscribe-Error Error=you have no subscription of that name" })
  same(ask(process, "t", "Subscribe", { Subscription = "1" })[1]:match("^%S+ %S+"), "t Subscribe-Error")
  same(ask(process, "s", "Subscribe", { Subscription = "1", Actions = "Other" }), { "s Subscribed" })
  same(ask(process, "u", "Say"), { "x Price" })
  same(ask(process, "s", "Unsubscribe", { Subscription = "1" }), { "s Unsubscribed" })
  same(process.eval("return #Subscriptions.Order"), "0")
end
test["there is a bound for each subscriber and for all"] = function()
  local process = source()
  process.eval("Subscriptions.PerSubscriber, Subscriptions.Max = 2, 3")
  same(ask(process, "a", "Subscribe")[1], "a Subscribed")
  same(ask(process, "a", "Subscribe")[1], "a Subscribed")
  same(ask(process, "a", "Subscribe")[1]:match("^%S+ %S+"), "a Subscribe-Error")
  same(ask(process, "b", "Subscribe")[1], "b Subscribed")
  same(ask(process, "c", "Subscribe")[1]:match("^%S+ %S+"), "c Subscribe-Error")
end
test["what makes no sense is refused"] = function()
  local process = source()
  for _, tags in ipairs({ { Budget = "0" }, { Budget = "x" }, { Expires = "1.5" }, { Window = "-1" }, { Tags = "nothing" } }) do
    same(ask(process, "s", "Subscribe", tags)[1]:match("^%S+ %S+"), "s Subscribe-Error")
  end
end
test["to load it again changes no subscription and copies once"] = function()
  local process = source()
  ask(process, "s", "Subscribe", { Actions = "Price" })
  process.blueprint("subscriptions")
  same(#ask(process, "u", "Say"), 2)
end

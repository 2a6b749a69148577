--- Lets other processes subscribe to what this process sends.
---
--- `Action = Subscribe`, from whoever is to have the copies, with:
---   `Actions`     names with commas between: only messages with one of these as Action (default: all)
---   `Recipients`  only messages to one of these
---   `Tags`        `NAME=VALUE` with commas between: each must be there
---   `Expires`     milliseconds since 1970 after which nothing is copied (default and at most `Subscriptions.Longest`)
---   `Budget`      copies after which it ends (default and at most `Subscriptions.Budget`)
---   `Window`      copies that may be on their way at once; `Action = Subscription-Ack` with `Number` says that the
---                 subscriber has them up to that one (default: no window)
--- answered with `Subscribed` and its id in `Subscription`. Subscribing again with `Subscription = ID` replaces it.
--- `Action = Unsubscribe` with `Subscription = ID` ends it.
---
--- A copy is a message of its own, `Action = Published`: never the Action of the original, so that no copy of a
--- `Credit-Notice` is taken for one. The original's tags come as `Published-NAME`, its target as `Published-Target`.
--- `Number` counts the copies of a subscription; what the window left no room for is told by the next copy: `Missed`.
---
--- The table is part of the state, the time is that of the message: the same log makes the same copies everywhere, and
--- `pirn verify` checks them like all else that the process sends. Only what is sent with `ao.send` (`Send`, `msg.reply`,
--- `msg.forward`) is copied, and copies are not copied again.
Subscriptions = Subscriptions or { Table = {}, Order = {}, Next = 1 }
--- Bounds. A script may set others before or after.
Subscriptions.Max = Subscriptions.Max or 1000
Subscriptions.PerSubscriber = Subscriptions.PerSubscriber or 8
Subscriptions.Budget = Subscriptions.Budget or 10000
Subscriptions.Longest = Subscriptions.Longest or 90 * 24 * 60 * 60 * 1000
--- Copies of one message of a process: what is beyond is missed, and told.
Subscriptions.CopiesMax = Subscriptions.CopiesMax or 200

local FILTER_MAX, VALUE_MAX = 32, 1024

local function listed(text)
  local values, count = {}, 0
  for value in tostring(text or ""):gmatch("[^,]+") do
    count = count + 1
    if count > FILTER_MAX or #value > VALUE_MAX then
      return nil
    end
    values[#values + 1] = value:match("^%s*(.-)%s*$")
  end
  return values
end

local function among(wanted, value)
  if #wanted == 0 then
    return true
  end
  for _, one in ipairs(wanted) do
    if one == value then
      return true
    end
  end
  return false
end

local function find(tags, name)
  for _, tag in ipairs(tags) do
    if tag.name == name then
      return tag.value
    end
  end
end

local function wants(subscription, sent)
  if not among(subscription.Actions, find(sent.Tags, "Action")) or not among(subscription.Recipients, sent.Target) then
    return false
  end
  for _, wanted in ipairs(subscription.Tags) do
    local has = false
    for _, tag in ipairs(sent.Tags) do
      has = has or (tag.name == wanted.name and tostring(tag.value) == wanted.value)
    end
    if not has then
      return false
    end
  end
  return true
end

local function drop(id)
  Subscriptions.Table[id] = nil
  for at, other in ipairs(Subscriptions.Order) do
    if other == id then
      table.remove(Subscriptions.Order, at)
      break
    end
  end
end

--- What is sent as it is, whoever subscribed. A script that was loaded before keeps the one of then.
Subscriptions.Send = Subscriptions.Send or ao.send
local plain = Subscriptions.Send

local function ended(subscription, reason)
  drop(subscription.Id)
  plain({ Target = subscription.Subscriber, Action = "Subscription-Ended", Subscription = subscription.Id, Reason = reason })
end

-- The protocol's own, and what tells a message from others.
local kept_out = { ["Data-Protocol"] = true, Variant = true, Type = true, Reference = true }

local function copy(subscription, sent)
  subscription.Number = subscription.Number + 1
  local tags = {
    { name = "Action", value = "Published" },
    { name = "Subscription", value = subscription.Id },
    { name = "Number", value = tostring(subscription.Number) },
    { name = "Published-Target", value = tostring(sent.Target) },
    { name = "Published-Reference", value = find(sent.Tags, "Reference") },
  }
  if subscription.Missed > 0 then
    tags[#tags + 1] = { name = "Missed", value = tostring(subscription.Missed) }
    subscription.Missed = 0
  end
  for _, tag in ipairs(sent.Tags) do
    if not kept_out[tag.name] then
      tags[#tags + 1] = { name = "Published-" .. tag.name, value = tag.value }
    end
  end
  plain({ Target = subscription.Subscriber, Data = sent.Data, Tags = tags })
  if subscription.Number >= subscription.Budget then
    ended(subscription, "budget")
  end
end

local function publish(sent, now)
  local copies = 0
  -- Whoever ends leaves the order while it is walked.
  for _, id in ipairs({ table.unpack(Subscriptions.Order) }) do
    local subscription = Subscriptions.Table[id]
    if now >= subscription.Expires then
      ended(subscription, "expired")
    elseif wants(subscription, sent) then
      local window = subscription.Window
      if copies >= Subscriptions.CopiesMax or (window and subscription.Number - subscription.Acknowledged >= window) then
        subscription.Missed = subscription.Missed + 1
      else
        copies = copies + 1
        copy(subscription, sent)
      end
    end
  end
end

--- The time of the message that is evaluated.
local now = 0

Handlers.prepend("subscriptions.clock", function(msg)
  now = math.max(now, math.tointeger(tonumber(msg.Timestamp)) or 0)
  return "skip"
end, function() end)

function ao.send(msg)
  local sent = plain(msg)
  if #Subscriptions.Order > 0 then
    publish({ Target = sent.Target, Tags = sent.Tags, Data = sent.Data }, now)
  end
  return sent
end

local function refuse(msg, why)
  plain({ Target = msg.From, Action = "Subscribe-Error", Error = why, ["X-Reference"] = msg.Reference })
end

local function number(msg, name, most)
  local said = msg.Tags[name]
  if said == nil then
    return most
  end
  local value = math.tointeger(tonumber(said))
  return value and value > 0 and math.min(value, most) or nil
end

Handlers.add("subscriptions.subscribe", "Subscribe", function(msg)
  local actions, recipients, pairs_of = listed(msg.Tags.Actions), listed(msg.Tags.Recipients), listed(msg.Tags.Tags)
  if not (actions and recipients and pairs_of) then
    return refuse(msg, "a filter names at most " .. FILTER_MAX .. " values of at most " .. VALUE_MAX .. " bytes")
  end
  local tags = {}
  for _, pair in ipairs(pairs_of) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if not name then
      return refuse(msg, "Tags are NAME=VALUE, with commas between")
    end
    tags[#tags + 1] = { name = name, value = value }
  end
  local budget = number(msg, "Budget", Subscriptions.Budget)
  local expires = number(msg, "Expires", now + Subscriptions.Longest)
  if not budget or not expires or expires <= now then
    return refuse(msg, "Budget and Expires are whole numbers, and Expires is later than now")
  end
  local window = msg.Tags.Window and number(msg, "Window", budget)
  if msg.Tags.Window and not window then
    return refuse(msg, "Window is a whole number of copies")
  end
  local id = msg.Tags.Subscription
  local before = id and Subscriptions.Table[id]
  if id and not (before and before.Subscriber == msg.From) then
    return refuse(msg, "you have no subscription of that name")
  end
  if not before then
    local own = 0
    for _, other in pairs(Subscriptions.Table) do
      own = own + (other.Subscriber == msg.From and 1 or 0)
    end
    if #Subscriptions.Order >= Subscriptions.Max or own >= Subscriptions.PerSubscriber then
      return refuse(msg, "there are as many subscriptions as this process takes: " .. Subscriptions.Max .. ", and "
        .. Subscriptions.PerSubscriber .. " of one subscriber")
    end
    id = tostring(Subscriptions.Next)
    Subscriptions.Next = Subscriptions.Next + 1
    table.insert(Subscriptions.Order, id)
  end
  local count = before and before.Number or 0
  Subscriptions.Table[id] = {
    Id = id,
    Subscriber = msg.From,
    Actions = actions,
    Recipients = recipients,
    Tags = tags,
    Expires = expires,
    Budget = count + budget,
    Window = window,
    Number = count,
    Acknowledged = count,
    Missed = before and before.Missed or 0,
  }
  plain({
    Target = msg.From,
    Action = "Subscribed",
    Subscription = id,
    Expires = tostring(expires),
    Budget = tostring(budget),
    ["X-Reference"] = msg.Reference,
  })
end)

--- The subscription that a message names, if it is its sender's.
local function own(msg)
  local subscription = Subscriptions.Table[msg.Tags.Subscription or ""]
  if not subscription or subscription.Subscriber ~= msg.From then
    refuse(msg, "you have no subscription of that name")
    return nil
  end
  return subscription
end

Handlers.add("subscriptions.unsubscribe", "Unsubscribe", function(msg)
  local subscription = own(msg)
  if subscription then
    drop(subscription.Id)
    plain({ Target = msg.From, Action = "Unsubscribed", Subscription = subscription.Id, ["X-Reference"] = msg.Reference })
  end
end)

Handlers.add("subscriptions.acknowledge", "Subscription-Ack", function(msg)
  local subscription = own(msg)
  local said = math.tointeger(tonumber(msg.Tags.Number))
  if subscription and said then
    subscription.Acknowledged = math.max(subscription.Acknowledged, math.min(said, subscription.Number))
  end
end)

--- What is said from outside, by feeders that are named, and believed when enough of them agree.
---
--- A feeder signs `Action: Feed` with `Feed-Name`, `Feed-Value`, `Feed-Time` (milliseconds since 1970) and
--- `Feed-Sequence`, which grows; `pirn feed` does it. A number is the median of what enough trusted feeders said lately;
--- an outcome is what enough of them say alike. Whoever is not listed is not heard, and nobody is heard twice.
local amount = require("lib.amount")
local because = require("lib.because")

local feeds = {}

--- Feeders of one feed.
local FEEDERS_MAX = 32
--- How far a feeder's clock may be ahead of the scheduler's, in milliseconds.
local AHEAD_MAX = 60000
--- Of times and numbers.
local COUNT_MAX = 999999999999999
--- Bytes of a value.
local VALUE_MAX = 256

--- `Feeds[name] = { feeders = list, quorum = n, max_age = milliseconds, kind = "number"|"outcome", said = { [feeder] = … } }`
Feeds = Feeds or {}

--- Says whom to believe. To declare a feed again with the same feeders forgets nothing.
---@param name string
---@param feed { feeders: string[], quorum: integer, max_age?: integer, kind: "number"|"outcome" }
---@return boolean|nil, string|nil
function feeds.declare(name, feed)
  local seen, count = {}, 0
  for _, feeder in ipairs(feed.feeders) do
    if seen[feeder] then
      return nil, "a feeder is named twice"
    end
    seen[feeder], count = true, count + 1
  end
  if count < 1 or count > FEEDERS_MAX then
    return nil, "from 1 to " .. FEEDERS_MAX .. " feeders are needed"
  elseif feed.quorum < 1 or feed.quorum > count then
    return nil, "the quorum must be from 1 to the number of feeders"
  elseif feed.kind == "outcome" and 2 * feed.quorum <= count then
    return nil, "more than half of the feeders must agree: two outcomes could be true otherwise"
  end
  local said = {}
  for feeder, last in pairs((Feeds[name] or {}).said or {}) do
    said[feeder] = seen[feeder] and last or nil
  end
  Feeds[name] = { feeders = feed.feeders, quorum = feed.quorum, max_age = feed.max_age, kind = feed.kind, said = said }
  return true
end

--- Reads a list of feeders as a message has it: addresses with commas between them.
function feeds.list(text)
  local out = {}
  for feeder in tostring(text or ""):gmatch("[^,%s]+") do
    out[#out + 1] = feeder
  end
  return out
end

--- Declares a feed of numbers as a message says it: `Feeders`, `Quorum` (1), `Max-Age` in milliseconds (five minutes).
---@return boolean|nil, string|nil
function feeds.declare_from(msg, name)
  local quorum, problem = amount.setting(msg.Quorum or "1", "Quorum", 1, FEEDERS_MAX)
  if not quorum then
    return nil, problem
  end
  local age
  age, problem = amount.setting(msg["Max-Age"] or "300000", "Max-Age (milliseconds)", 1000, 86400000)
  if not age then
    return nil, problem
  end
  return feeds.declare(name, { feeders = feeds.list(msg.Feeders), quorum = quorum, max_age = age, kind = "number" })
end

local function is_trusted(feed, who)
  for _, feeder in ipairs(feed.feeders) do
    if feeder == who then
      return true
    end
  end
  return false
end

--- Takes what a feeder says, or says why not.
local function take(msg)
  local feed = Feeds[msg["Feed-Name"] or ""]
  if not feed then
    return "no such feed"
  elseif not is_trusted(feed, msg.From) then
    return "not a trusted feeder of it"
  end
  local value = msg["Feed-Value"]
  local time = amount.setting(msg["Feed-Time"], "Feed-Time", 0, COUNT_MAX)
  local sequence = amount.setting(msg["Feed-Sequence"], "Feed-Sequence", 0, COUNT_MAX)
  if not time or not sequence or type(value) ~= "string" or value == "" or #value > VALUE_MAX then
    return "Feed-Value, Feed-Time and Feed-Sequence are needed"
  elseif feed.kind == "number" and not amount.parse(value) then
    return "Feed-Value must be a whole number in decimal digits"
  elseif time > tonumber(msg.Timestamp) + AHEAD_MAX then
    return "Feed-Time is in the future"
  end
  local last = feed.said[msg.From]
  if last and (sequence <= last.sequence or time < last.time) then
    return "a repeat, or older than what is known"
  end
  feed.said[msg.From] = { value = value, time = time, sequence = sequence }
end

local heard = function(_, _) end

--- What is run after a feed was heard: `run(name, msg)`.
function feeds.on_heard(run)
  heard = run
end

Handlers.add("feeds.take", "Feed", function(msg)
  local problem = take(msg)
  if problem then
    -- No answer to strangers: they could have a process speak to whomever they like.
    because("feed " .. tostring(msg["Feed-Name"]) .. " from " .. msg.From .. " is not heard: " .. problem)
  else
    because(msg["Feed-Name"] .. " is " .. msg["Feed-Value"] .. ", says " .. msg.From)
    heard(msg["Feed-Name"], msg)
  end
end)

--- The values that are fresh at `now`, and no older than `since`.
local function fresh(feed, now, since)
  local out = {}
  for _, feeder in ipairs(feed.feeders) do
    local last = feed.said[feeder]
    if last and (not feed.max_age or last.time + feed.max_age >= now) and last.time >= (since or 0) then
      out[#out + 1] = last.value
    end
  end
  return out
end

--- The median of what is fresh; of an even number of values the lower one in the middle. nil and why, without a quorum.
---@param name string
---@param now integer milliseconds
---@return table|nil, string|nil
function feeds.number(name, now)
  local feed = Feeds[name]
  if not feed then
    return nil, "there is no feed " .. tostring(name)
  end
  local values = fresh(feed, now)
  if #values < feed.quorum then
    return nil, ("only %d of %d feeders of %s are fresh, %d are needed"):format(#values, #feed.feeders, name, feed.quorum)
  end
  for at, value in ipairs(values) do
    values[at] = amount.of(value)
  end
  table.sort(values, function(a, b)
    return a < b
  end)
  return values[(#values + 1) // 2]
end

--- What enough feeders say alike, since a time. nil and why, if they do not.
---@return string|nil, string|nil
function feeds.outcome(name, now, since)
  local feed = Feeds[name]
  if not feed then
    return nil, "there is no feed " .. tostring(name)
  end
  local counts = {}
  for _, value in ipairs(fresh(feed, now, since)) do
    counts[value] = (counts[value] or 0) + 1
    if counts[value] >= feed.quorum then
      return value
    end
  end
  return nil, ("no outcome of %s is said by %d feeders"):format(name, feed.quorum)
end

return feeds

--- Votes of stakers, each as heavy as their stake, on anything that has a name.
---
--- Load `token` and `staking` first. The first vote on a target opens it and says for how many blocks, in `Deadline`.
--- `Votes[target] = { yay, nay, deadline, voted }`. When a vote is over it moves to `Results[target]`, and `OnVote`, where
--- it is defined, is called with the target and whether it was approved.
local bint = require(".bint")(256)
local json = require("json")

assert(Stakers, "voting: load the blueprint staking first, it holds the stakes")

Votes = Votes or {}
Results = Results or {}

--- Blocks that a vote may take: about a year.
local DEADLINE_MAX = 262800
--- Votes that are open at the same time, and results that are kept.
local VOTES_MAX = 100

local function refuse(msg, problem)
  msg.reply({ Action = "Vote-Error", ["Message-Id"] = msg.Id, Error = problem })
end

local function count(object)
  local all = 0
  for _ in pairs(object) do
    all = all + 1
  end
  return all
end

Handlers.add("voting.vote", "Vote", function(msg)
  local stake = Stakers[msg.From]
  -- `Target` of a message is who it is for: the tag of that name is among the tags only.
  local target, side = msg.Tags.Target or msg.Tags["Vote-Id"], msg.Side
  if not stake then
    return refuse(msg, "Only stakers vote")
  elseif type(target) ~= "string" then
    return refuse(msg, "Target is required: a tag that says what the vote is about")
  elseif side ~= "yay" and side ~= "nay" then
    return refuse(msg, "Side must be yay or nay")
  end
  local vote = Votes[target]
  if not vote then
    local blocks = math.tointeger(tonumber(msg.Deadline))
    if not blocks or blocks < 1 or blocks > DEADLINE_MAX then
      return refuse(msg, "Deadline must be a number of blocks from 1 to " .. DEADLINE_MAX)
    elseif count(Votes) >= VOTES_MAX then
      return refuse(msg, "Too many votes are open already: " .. VOTES_MAX)
    end
    vote = { yay = "0", nay = "0", deadline = (tonumber(msg["Block-Height"]) or 0) + blocks, voted = {} }
    Votes[target] = vote
  end
  if vote.voted[msg.From] then
    return refuse(msg, "You voted already")
  end
  vote.voted[msg.From] = side
  vote[side] = tostring(bint(vote[side]) + bint(stake.amount))
  msg.reply({ Action = "Voted", Side = side, ["Vote-Id"] = target, Deadline = tostring(vote.deadline), Data = "Voted" })
end)

Handlers.add("voting.votes", "Votes", function(msg)
  local open = {}
  for target, vote in pairs(Votes) do
    open[target] = { yay = vote.yay, nay = vote.nay, deadline = vote.deadline }
  end
  msg.reply({ Data = next(open) and json.encode(open) or "{}" })
end)

--- Ends what is over. Looked at with every message: a process has no clock of its own.
Handlers.prepend("voting.finalize", function()
  return "continue"
end, function(msg)
  local height = tonumber(msg["Block-Height"]) or 0
  for _, target in ipairs(Utils.keys(Votes)) do
    local vote = Votes[target]
    if height >= vote.deadline then
      Votes[target] = nil
      local approved = bint(vote.yay) > bint(vote.nay)
      if Results[target] or count(Results) < VOTES_MAX then
        Results[target] = { approved = approved, yay = vote.yay, nay = vote.nay }
      end
      if OnVote then
        OnVote(target, approved)
      end
    end
  end
end)

--- A game of rounds: players pay to take part, somebody else says how it is played.
---
--- `GameMode` goes from `Not-Started` to `Waiting` (bets are taken), to `Playing`, and back to `Waiting`. Before this is
--- loaded, or after, a game sets `PaymentToken` (the process that may credit bets) and the two functions
--- `playerInitState()`, which gives a new player's state, and `onTick()`, which is called for each Tick while a round is
--- played. `eliminatePlayer(player, by)` takes a player out, and moves their bet to whoever did it.
local bint = require(".bint")(256)
local json = require("json")

GameMode = GameMode or "Not-Started"
StateChangeTime = StateChangeTime or 0
--- Milliseconds: how long bets are taken, and how long a round lasts.
WaitTime = WaitTime or 2 * 60 * 1000
GameTime = GameTime or 20 * 60 * 1000
Now = Now or 0
--- What a bet is at least, and what a winner is paid on top, in the token's smallest unit.
PaymentQty = PaymentQty or "1"
BonusQty = BonusQty or "1"
MinimumPlayers = MinimumPlayers or 2
--- Tokens that `RequestTokens` gives to those who have none, once to each.
RequestQty = RequestQty or "10"

Waiting = Waiting or {}
Players = Players or {}
--- What each player has won in this round, as text.
Winnings = Winnings or {}
Listeners = Listeners or {}
Requested = Requested or {}

--- Everybody who listens makes every announcement larger.
local LISTENERS_MAX = 1000

local function announce(event, description)
  for _, listener in ipairs(Listeners) do
    Send({ Target = listener, Action = "Announcement", Event = event, Data = description })
  end
end
_G.announce = announce

local function pay(recipient, quantity)
  if PaymentToken and quantity ~= "0" then
    Send({ Target = PaymentToken, Action = "Transfer", Recipient = recipient, Quantity = quantity })
  end
end

local function count(object)
  local all = 0
  for _ in pairs(object) do
    all = all + 1
  end
  return all
end

local function start_waiting()
  GameMode, StateChangeTime = "Waiting", Now + WaitTime
  announce("Started-Waiting-Period", "The game begins in " .. WaitTime // 1000 .. " seconds, for those who have paid.")
end

local function start_playing()
  GameMode, StateChangeTime = "Playing", Now + GameTime
  -- In an order that is everybody's: a first state may be drawn by lot.
  for _, player in ipairs(Utils.keys(Waiting)) do
    Players[player] = playerInitState and playerInitState() or {}
    Winnings[player] = Waiting[player]
  end
  Waiting = {}
  announce("Started-Game", "The game has begun.")
end

--- Ends the round: whoever is left keeps their bet and what they won.
function endGame()
  for _, player in ipairs(Utils.keys(Players)) do
    pay(player, tostring(bint(Winnings[player] or "0") + bint(BonusQty)))
  end
  announce("Game-Ended", json.encode({ winners = Utils.keys(Players) }))
  Players, Winnings = {}, {}
  start_waiting()
end

--- Takes a player out of the round.
function eliminatePlayer(player, by)
  if not Players[player] then
    return
  end
  local won = Winnings[player] or "0"
  Players[player], Winnings[player] = nil, nil
  if Players[by] then
    Winnings[by] = tostring(bint(Winnings[by] or "0") + bint(won))
  end
  Send({ Target = player, Action = "Eliminated", Eliminator = by })
  announce("Player-Eliminated", player .. " was eliminated by " .. tostring(by))
  if count(Players) <= 1 then
    endGame()
  end
end

--- Moves the clock on, with every message.
Handlers.prepend("arena.clock", function()
  return "continue"
end, function(msg)
  Now = tonumber(msg.Timestamp) or Now
  if GameMode == "Not-Started" then
    start_waiting()
  elseif GameMode == "Waiting" and Now >= StateChangeTime then
    if count(Waiting) >= MinimumPlayers then
      start_playing()
    else
      announce("Not-Enough-Players", count(Waiting) .. " of " .. MinimumPlayers .. " players have paid.")
      start_waiting()
    end
  elseif GameMode == "Playing" and Now >= StateChangeTime then
    endGame()
  end
end)

Handlers.add("Register", function(msg)
  if not Utils.includes(msg.From, Listeners) then
    if #Listeners >= LISTENERS_MAX then
      return msg.reply({ Action = "Register-Error", Error = "Too many listen already: " .. LISTENERS_MAX })
    end
    table.insert(Listeners, msg.From)
  end
  msg.reply({ Action = "Registered", Data = "registered" })
end)

Handlers.add("Unregister", function(msg)
  Listeners = Utils.filter(function(listener)
    return listener ~= msg.From
  end, Listeners)
  msg.reply({ Action = "Unregistered", Data = "unregistered" })
end)

-- The token says that somebody has paid. Whoever else says so is not believed.
Handlers.add("AddBet", function(msg)
  return msg.Action == "Credit-Notice" and PaymentToken ~= nil and msg.From == PaymentToken
end, function(msg)
  local player, quantity = msg.Sender, tostring(msg.Quantity)
  if type(player) ~= "string" or not quantity:find("^%d+$") then
    return
  end
  if bint(quantity) < bint(PaymentQty) then
    Send({ Target = player, Action = "Payment-Rejected", Error = "A bet is at least " .. PaymentQty })
    return pay(player, quantity)
  end
  -- During a round it counts for the next one.
  Waiting[player] = tostring(bint(Waiting[player] or "0") + bint(quantity))
  Send({ Target = player, Action = "Payment-Received", Quantity = quantity })
  announce("Player-Ready", player .. " has paid.")
end)

Handlers.add("GetGameState", function(msg)
  msg.reply({
    Action = "GameState",
    Data = json.encode({
      GameMode = GameMode,
      TimeRemaining = math.max(0, StateChangeTime - Now),
      Players = next(Players) and Players or nil,
      Waiting = next(Waiting) and Waiting or nil,
    }),
  })
end)

Handlers.add("Tick", function()
  if GameMode == "Playing" and onTick then
    onTick()
  end
end)

-- Only where the game itself is the token: it has nothing to give otherwise.
Handlers.add("RequestTokens", function(msg)
  if PaymentToken ~= ao.id or not Balances then
    return msg.reply({ Action = "RequestTokens-Error", Error = "This arena gives no tokens: ask " .. tostring(PaymentToken) })
  elseif Requested[msg.From] then
    return msg.reply({ Action = "RequestTokens-Error", Error = "You had your tokens already" })
  end
  Requested[msg.From] = true
  pay(msg.From, RequestQty)
end)

---@meta
--- What a process finds, for editors that speak LuaLS: add this folder to `Lua.workspace.library`.
--- `processes/test/library_test.lua` keeps it true to `processes/boot`.

---@alias Pattern string|fun(msg: Message): (boolean|integer|string|nil)|table<string, any>

--- A message as handlers see it: tags are in the root too, under their normalised names (`X-My-Tag`).
---@class Message
---@field Id string
---@field From string who sent it: a process, or the owner of a wallet
---@field Owner string who signed it
---@field Target string
---@field Action? string
---@field Data any text; a table where `Content-Type` is `application/json`
---@field Timestamp integer milliseconds
---@field Tags table<string, string>
---@field TagArray { name: string, value: string }[]
---@field Cron? boolean
---@field Reference? string
---@field reply fun(answer: Outgoing): Sent
---@field forward fun(target: string, changes?: Outgoing): Sent
---@field [string] any

--- A message to send. Every other field becomes a tag.
---@class Outgoing
---@field Target? string
---@field Data? string|table a table is sent as JSON
---@field Action? string
---@field Tags? table<string, string>|{ name: string, value: string }[]
---@field [string] any

---@class Sent
---@field receive fun(from?: string): Message
---@field onReply fun(f: fun(msg: Message)): integer

---@class Spawned
---@field receive fun(): Message
---@field onReply fun(f: fun(msg: Message)): integer
---@field after fun(f: fun(msg: Message)): integer

---@class ao
---@field id string
---@field reference integer
---@field authorities string[]
---@field assignables { name?: string, pattern: Pattern }[]
---@field outbox table
---@field env { Process: table, Module: table }
---@field Nonce integer
---@field nonExtractableTags string[]
---@field nonForwardableTags string[]
---@field _module string
---@field _version string
ao = {}

---@param msg Outgoing
---@return Sent
function ao.send(msg) end

---@param module string
---@param msg? Outgoing
---@return Spawned
function ao.spawn(module, msg) end

---@param what { Processes: string[], Message: string }
function ao.assign(what) end

---@param msg Message
---@return boolean
function ao.isTrusted(msg) end

---@param msg Message
---@return boolean
function ao.isTick(msg) end

---@param msg Message
---@return boolean
function ao.isAssignment(msg) end

---@param msg Message
---@return boolean
function ao.isAssignable(msg) end

---@param name string|Pattern
---@param pattern? Pattern
function ao.addAssignable(name, pattern) end

---@param name string|integer
function ao.removeAssignable(name) end

---@param text any
function ao.log(text) end

function ao.clearOutbox() end

---@param result? table
---@return table
function ao.result(result) end

---@param msg table
---@return table
function ao.normalize(msg) end

---@param msg table
---@return table
function ao.sanitize(msg) end

---@generic T
---@param value T
---@return T
function ao.clone(value) end

---@param env table
function ao.init(env) end

---@param msg table
---@return Message
function ao.extract(msg) end

---@param msg table
function ao.registerHint(msg) end

---@class Handlers
---@field list { name: string, pattern: Pattern, handle: function, maxRuns?: integer|"inf" }[]
---@field coroutines thread[]
---@field onceNonce integer
---@field running? string
---@field failed? thread
---@field _version string
Handlers = {}

---@param name string
---@param pattern Pattern|fun(msg: Message) with two arguments, the handle: the name is the Action
---@param handle? fun(msg: Message)|table<Pattern, fun(msg: Message)>
---@param max_runs? integer|"inf"
---@return integer
function Handlers.add(name, pattern, handle, max_runs) end

Handlers.append = Handlers.add

---@return integer
function Handlers.prepend(name, pattern, handle, max_runs) end

---@param ... any `[name,] pattern, handle`
---@return integer
function Handlers.once(...) end

---@param name string
---@return { add: fun(name: string, pattern: Pattern, handle: function): integer }
function Handlers.before(name) end

---@param name string
---@return { add: fun(name: string, pattern: Pattern, handle: function): integer }
function Handlers.after(name) end

---@param name string
function Handlers.remove(name) end

---@param pattern Pattern
---@return Message
function Handlers.receive(pattern) end

---@param msg Message
---@param env table
function Handlers.evaluate(msg, env) end

---@param spec table<Pattern, fun(msg: Message)>
---@return fun(msg: Message)
function Handlers.generateResolver(spec) end

---@class HandlersUtils
---@field _version string
Handlers.utils = {}

---@param name string
---@param value string
---@return fun(msg: Message): boolean
function Handlers.utils.hasMatchingTag(name, value) end

---@param name string
---@param values string[]
---@return fun(msg: Message): boolean
function Handlers.utils.hasMatchingTagOf(name, values) end

---@param name? string
---@return fun(msg: Message): boolean
function Handlers.utils.tick(name) end

---@param value string
---@return fun(msg: Message): boolean
function Handlers.utils.hasMatchingData(value) end

---@param answer string|Outgoing
---@return fun(msg: Message)
function Handlers.utils.reply(answer) end

---@param pattern Pattern
---@return fun(msg: Message): any
function Handlers.utils.continue(pattern) end

--- Every function may be given its arguments one after the other.
---@class Utils
---@field _version string
Utils = {}
function Utils.concat(first, second) end
function Utils.reduce(f, start, values) end
function Utils.map(f, values) end
function Utils.filter(f, values) end
function Utils.find(f, values) end
function Utils.reverse(values) end
function Utils.compose(...) end
function Utils.prop(name, object) end
function Utils.propEq(name, value, object) end
function Utils.includes(value, values) end
function Utils.keys(object) end
function Utils.values(object) end
function Utils.curry(f, arity) end
function Utils.matchesPattern(pattern, value, msg) end
function Utils.matchesSpec(msg, spec) end
function Utils.normalize(name) end
function Utils.capitalize(text) end

---@param msg Outgoing
---@return Sent
function Send(msg) end

---@param module string|Outgoing
---@param msg? Outgoing
---@return Spawned
function Spawn(module, msg) end

---@param what { Processes: string[], Message: string }
---@return string
function Assign(what) end

---@param pattern Pattern
---@return Message
function Receive(pattern) end

---@param value any
---@return string
function Dump(value) end

---@param msg Message
function Tab(msg) end

function Version() end

---@return string
function Prompt() end

---@type Message[]
Inbox = {}
---@type string[]
Errors = {}
---@type string
Owner = ""
---@type string
Name = ""
---@type table<string, string>
Colors = {}
---@type string
Bell = ""
---@type boolean
Seeded = true

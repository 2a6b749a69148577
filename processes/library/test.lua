---@meta
--- What a test finds, for editors that speak LuaLS: add this folder to `Lua.workspace.library`.
--- A test of the runner keeps it true (`crates/cli/tests/trials/language.rs`); docs/testing.md says what each does.

--- A message that a process sent: its tags are fields.
---@class SentMessage
---@field Id string
---@field From string
---@field Target string
---@field Data string
---@field Tags table<string, string>
---@field json any `Data`, decoded
---@field [string] any

--- What came of a message.
---@class Result
---@field output string what the process printed or returned
---@field error? string its failure, with file and line
---@field messages SentMessage[] what it sent
---@field gas integer
---@field slot integer
---@field id string

--- A message to send: every other field becomes a tag.
---@class TestMessage
---@field Target? any a process, an account, or an id; the process that was spawned last without it
---@field Action? string
---@field Data? any a table is sent as JSON
---@field From? any who sends it
---@field Tags? table
---@field [string] any

---@class Spawning
---@field process? string a name in pirn.toml
---@field source? string a file of Lua, with what it requires
---@field code? string Lua
---@field module? string a .wasm file or a module's id
---@field tags? table
---@field data? string
---@field name? string
---@field owner? any an account, its name, or a process

---@class TestProcess
---@field id string
---@field name? string
local TestProcess = {}

---@param message TestMessage
---@return Result
function TestProcess:send(message) end

---@param code string
---@return any value
function TestProcess:eval(code) end

---@param expression string
---@return any value
function TestProcess:state(expression) end

---@param message TestMessage
---@return Result
function TestProcess:dry(message) end

---@param path string
---@return string output
function TestProcess:load(path) end

---@param times? integer
function TestProcess:cron(times) end

---@param pattern? table|fun(message: SentMessage): boolean
---@return SentMessage[]
function TestProcess:sent(pattern) end

---@class Account
---@field id string
---@field name string
---@field send fun(self: Account, message: TestMessage): Result

---@class Clock
---@field advance fun(span: string|integer): integer
---@field now fun(): integer
---@field mine fun(blocks?: integer): integer
---@field height fun(): integer

---@class Generator

---@class Generators
---@field integer fun(low?: integer, high?: integer): Generator
---@field boolean fun(): Generator
---@field one_of fun(choices: any[]): Generator
---@field list fun(of: Generator, most?: integer): Generator
---@field string fun(most?: integer, characters?: string): Generator
---@field map fun(of: Generator, make: fun(value: any): any): Generator

--- The network of a test. Accounts are fields: `t.ada`, `t.ben`.
---@class t
---@field auto boolean whether what follows from `t.send` is delivered at once
---@field clock Clock
---@field gen Generators
---@field [string] Account
t = {}

---@param what? string|Spawning a name in pirn.toml, a file, or more
---@return TestProcess
function t.spawn(what) end

---@param id any
---@return TestProcess
function t.process(id) end

---@param message TestMessage
---@return Result
function t.send(message) end

---@param message TestMessage
function t.post(message) end

---@param message TestMessage
---@return Result
function t.dry(message) end

---@param process TestProcess|string
---@param code? string
---@return any value
function t.eval(process, code) end

---@param process TestProcess|string
---@param expression? string
---@return any value
function t.state(process, expression) end

---@param pattern? table|fun(message: SentMessage): boolean
---@param process? TestProcess
---@return SentMessage[]
function t.sent(pattern, process) end

---@param pattern table|fun(message: SentMessage): boolean
---@param count? integer
---@return SentMessage
function t.expect(pattern, count) end

---@param pattern table|fun(message: SentMessage): boolean
function t.expect_none(pattern) end

---@param who any
---@return SentMessage[]
function t.inbox(who) end

---@return integer letters
function t.run() end

---@return boolean
function t.step() end

---@param process? TestProcess|integer
---@param times? integer
function t.cron(process, times) end

---@param seed? integer
---@param faults? { drop?: number, duplicate?: number, delay?: string|integer }
function t.reorder(seed, faults) end

--- Runs each test of this file on its own, so that they can run at the same time: the file is run anew for each, with the
--- `setup`s around it, and no variable that a test sets is seen by another. To be said outside of describe and it.
function t.parallel() end

---@param faults { drop?: number, duplicate?: number, delay?: string|integer, reorder?: boolean }
---@param seed? integer
function t.faults(faults, seed) end

---@param name string
---@return Account
function t.account(name) end

---@param who any
---@param run? function
---@return any
function t.as(who, run) end

---@param letter table
---@return SentMessage
function t.message(letter) end

---@param generators table<string, Generator>
---@param run fun(case: table)
---@param options? { runs?: integer }
function t.property(generators, run, options) end

---@param name string
---@param body fun()
function describe(name, body) end

---@param name string
---@param body fun()
function context(name, body) end

---@param name string
---@param body? fun()
function it(name, body) end

---@param name? string
---@param body? fun()
function pending(name, body) end

---@param run fun()
function setup(run) end

---@param run fun()
function teardown(run) end

---@param run fun()
function before_each(run) end

---@param run fun()
function after_each(run) end

---@param run fun()
function finally(run) end

--- A chain of words: `assert.are.same(expected, got)`, `assert.is_not_nil(value)`.
---@class Assert
---@field equal fun(expected: any, got: any, said?: string)
---@field same fun(expected: any, got: any, said?: string)
---@field truthy fun(got: any, said?: string)
---@field falsy fun(got: any, said?: string)
---@field error fun(run: fun(), expected?: any)
---@field error_matches fun(run: fun(), pattern: string)
---@field matches fun(pattern: string, text: string)
---@field contains fun(part: any, whole: any)
---@field near fun(expected: number, got: number, tolerance: number)
---@field unique fun(list: any[])
---@field returned_arguments fun(count: integer, ...)
---@field spy fun(spied: any): Assert
---@field stub fun(spied: any): Assert
---@field array fun(list: table): Assert
---@field message fun(said: string): Assert
---@field called fun(times?: integer)
---@field called_with fun(...)
---@field returned_with fun(...)
---@field called_at_least fun(times: integer)
---@field called_at_most fun(times: integer)
---@field called_more_than fun(times: integer)
---@field called_less_than fun(times: integer)
---@field is Assert
---@field are Assert
---@field has Assert
---@field was Assert
---@field no Assert
---@field is_true fun(got: any, said?: string)
---@field is_false fun(got: any, said?: string)
---@field is_nil fun(got: any, said?: string)
---@field is_string fun(got: any, said?: string)
---@field is_number fun(got: any, said?: string)
---@field is_table fun(got: any, said?: string)
---@field is_boolean fun(got: any, said?: string)
---@field is_function fun(got: any, said?: string)
---@field [string] any
---@overload fun(value: any, said?: any, ...): any
assert = {}

spy, stub, mock, match = {}, {}, {}, {}

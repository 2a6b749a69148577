// Every module and format through @permaweb/ao-loader and through us: the same results to the byte, the same gas, and
// at the end the same memory.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import AoLoader from './index.cjs'
import { moduleBytes } from '../lib/modules.mjs'

const LIMIT = 9_000_000_000_000
const WASM64 = 'wasm64-unknown-emscripten-draft_2024_02_15'
const WASM64_METERED = 'wasm64-unknown-emscripten-draft_2024_10_16-metering'
const WASM32 = 'wasm32-unknown-emscripten4'
const WASM32_METERED = 'wasm32-unknown-emscripten-metering'

const PROCESS = 'ProcessProcessProcessProcessProcessProcess1'
const MODULE = 'ModuleModuleModuleModuleModuleModuleModule1'
const OWNER = 'OwnerOwnerOwnerOwnerOwnerOwnerOwnerOwnerOwn'
const ENV = {
  Process: {
    Id: PROCESS,
    Owner: OWNER,
    Tags: Object.entries({ Name: 'compare', Module: MODULE, Authority: 'A' }).map(([name, value]) => ({ name, value }))
  },
  Module: { Id: MODULE, Owner: 'M', Tags: [] }
}

/** Messages as a unit numbers them. */
function log (...steps) {
  return steps.map((step, nonce) => {
    const { data, tags, from } = typeof step === 'string' ? { data: step, tags: { Action: 'Eval' }, from: OWNER } : step
    return {
      Id: nonce === 0 ? PROCESS : `Message${String(nonce).padStart(36, '0')}`, Signature: 's', Data: data, Owner: from,
      Target: PROCESS, Anchor: null, From: from,
      Tags: Object.entries({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', ...tags }).map(([name, value]) => ({ name, value })),
      Epoch: 0, Nonce: nonce, Timestamp: 1718000000000 + nonce, 'Block-Height': 1440000 + nonce, 'Hash-Chain': 'h',
      Cron: false, 'Read-Only': false
    }
  })
}

const BOOT = { data: '', tags: { Type: 'Process', Module: MODULE, Name: 'compare' }, from: OWNER }
const from = (who, action, data = '') => ({ data, tags: { Type: 'Message', Action: action }, from: who })

// Recursion of every sort, up to Lua's own limits and past them: the native stack must not end first.
const DEEP = log(
  BOOT,
  'local function f(n) if n == 0 then return 0 end local ok, v = pcall(f, n - 1) if not ok then error(v, 0) end return v + 1 end local ok, v = pcall(f, 180) return tostring(ok) .. tostring(v)',
  'local function f(n) if n == 0 then return 0 end local ok, v = pcall(f, n - 1) if not ok then error(v, 0) end return v + 1 end local ok, v = pcall(f, 1000) return tostring(ok) .. tostring(v):sub(1,80)',
  'local function f(n) return (("x"):gsub("x", function() if n == 0 then return "y" end return f(n - 1) end)) end local ok, v = pcall(f, 185) return tostring(ok) .. tostring(v):sub(1,100)',
  'local function f(n) return (("x"):gsub("x", function() if n == 0 then return "y" end return f(n - 1) end)) end local ok, v = pcall(f, 5000) return tostring(ok) .. tostring(v):sub(1,100)',
  'local t = {} local mt = {} mt.__index = function(t, k) if k == 0 then return "end" end return t[k - 1] end setmetatable(t, mt) local ok, v = pcall(function() return t[190] end) return tostring(ok) .. tostring(v):sub(1,100)',
  'local t = {} local mt = {} mt.__index = function(t, k) if k == 0 then return "end" end return t[k - 1] end setmetatable(t, mt) local ok, v = pcall(function() return t[100000] end) return tostring(ok) .. tostring(v):sub(1,100)',
  'return #tostring(select(2, load("return " .. ("{"):rep(1000) .. ("}"):rep(1000))))',
  'return #tostring(select(2, load(("do "):rep(1000) .. ("end "):rep(1000))))',
  'return #tostring(select(2, load("return " .. ("-"):rep(1000) .. "1"))) .. tostring(load("return " .. ("not "):rep(190) .. "1")())',
  'local function c(n) if n == 0 then return 0 end return coroutine.wrap(function() return c(n - 1) + 1 end)() end local ok, v = pcall(c, 150) return tostring(ok) .. tostring(v):sub(1, 100)',
  'local function c(n) if n == 0 then return 0 end return coroutine.wrap(function() return c(n - 1) + 1 end)() end local ok, v = pcall(c, 250) return tostring(ok) .. tostring(v):sub(1, 100)',
  'local t = {} for i = 1, 5000 do t = { t } end local ok, v = pcall(require("json").encode, t) return tostring(ok) .. tostring(v):sub(1, 100)',
  'local ok, v = pcall(require("json").decode, ("["):rep(10000) .. ("]"):rep(10000)) return tostring(ok) .. tostring(v):sub(1, 100)',
  'local t = {} for i = 1, 200 do t[i] = i end table.sort(t, function(a, b) return a > b end) local ok, v = pcall(table.sort, {3,1,2,5,4,9,8,7,1,2,3,4,5}, function() return true end) return t[1] .. tostring(ok) .. tostring(v):sub(1, 60)',
  'return string.rep("ab", 10000000):len()'
)

// Nothing here prints a NaN, whose sign in the reference is that of the processor, and nothing asks for the time in
// milliseconds, which in the reference depends on how long it has had its instance.
const AOS = log(
  BOOT,
  'return 1 + 1',
  'return require("json").encode({ a = 1, b = { 2, 3 }, c = "ü€😀", d = { e = { f = true } } })',
  'local t = {} for k in pairs({ zeta = 1, alpha = 2, beta = 3, gamma = 4, delta = 5 }) do t[#t + 1] = k end return table.concat(t, ",")',
  'Send({ Target = "T", Action = "X", Zeta = "1", Alpha = "2", Beta = "3", Gamma = "4", Data = "d" }) return #ao.outbox.Messages',
  'error("on purpose")',
  'this is no lua',
  'return tostring({}) .. tostring(print) .. tostring(coroutine.create(print))',
  'Handlers.add("ping", Handlers.utils.hasMatchingTag("Action", "Ping"), function(m) Count = (Count or 0) + 1 ao.send({ Target = m.From, Action = "Pong", Data = tostring(Count) }) end)',
  from('W', 'Ping'),
  from('V', 'Ping', 'x'.repeat(3000)),
  from('U', 'Nothing', 'goes to the inbox'),
  'return #Inbox .. " " .. tostring(Count)',
  'Handlers.add("bad", Handlers.utils.hasMatchingTag("Action", "Bad"), function() local x = nil; return x.y end)',
  from('W', 'Bad'),
  from('W', 'Ping'),
  'ao.spawn("M", { Data = "d", Tags = { A = "1", B = "2" } }) ao.assign({ Processes = { "P" }, Message = "M" })',
  'local ok, why = pcall(function() error({ code = 7 }) end) return tostring(ok) .. why.code',
  'local function f(n) return f(n + 1) + 1 end local ok, why = pcall(f, 1) return tostring(ok) .. why:sub(1, 60)',
  'return select(2, pcall(string.rep, "x", -1)) .. #string.rep("ab", 100000)',
  'local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return c() .. c() .. c()',
  'return os.date("%Y-%m-%d %H:%M:%S %j %a %A %b %B %p %U %w %W %y %c %x %X %%", 1718000000)',
  'return os.time({ year = 2024, month = 2, day = 30, hour = 12 }) .. tostring(os.getenv("HOME")) .. tostring(os.execute())',
  'return math.random(1, 1000000) .. " " .. math.random(1, 1000000)',
  'return string.format("%5.2f %g %d %s %q %x", 3.14159, 1e100, 42, "s", "q\\n", 255)',
  'Big = {} for i = 1, 60000 do Big[i] = { i, tostring(i) } end return #Big .. " " .. math.floor(collectgarbage("count"))',
  'Big = nil collectgarbage() return math.floor(collectgarbage("count"))',
  'local s = "" for i = 1, 200 do s = s .. "(" end return load("return " .. s .. "1" .. s:gsub("%(", ")"))()',
  'return ("x"):rep(20000):gsub("x", function(c) return c .. "y" end):len()',
  'return select("#", table.unpack({}, 1, 200)) .. " " .. tostring(1/0) .. tostring(2^63) .. (7 // 2) .. (7 % -3)'
)

const FILES = log(
  BOOT,
  'local f, why = io.open("/tmp/a", "w") if not f then return why end f:write("hello\\nworld\\n") f:close() local t = {} for l in io.lines("/tmp/a") do t[#t + 1] = l end return table.concat(t, "|")',
  'local f = io.open("/tmp/b", "w+") f:write("0123456789") f:seek("set", 3) local x = f:read(4) f:seek("end", -2) local y = f:read("a") f:close() return x .. y',
  'return tostring(os.rename("/tmp/none", "/tmp/x")) .. tostring(select(2, os.rename("/tmp/none", "/tmp/x"))) .. tostring(select(2, io.open("/none/a"))) .. tostring(select(2, io.open("/tmp", "w")))',
  'local n = os.tmpname and pcall(os.tmpname) return tostring(n)',
  'print("to nobody") io.write("to nobody") io.stderr:write("to nobody") return tostring(io.read())'
)

// SQLite asks for random bytes when it opens a file. The reference gives it some, so its memory differs from run to run.
const SQLITE = log(
  BOOT,
  'sqlite3 = require("lsqlite3") db = sqlite3.open_memory() return db:exec([[CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (NULL, \'a\'), (NULL, \'b\');]])',
  'local t = {} for r in db:nrows("SELECT * FROM t") do t[#t + 1] = r.id .. r.s end return table.concat(t, ",")',
  'for i = 1, 500 do db:exec("INSERT INTO t (s) VALUES (\'row" .. i .. "\')") end local n for r in db:nrows("SELECT count(*) AS n, sum(length(s)) AS l FROM t") do n = r.n .. " " .. r.l end return n',
  'return tostring(db:exec("no sql")) .. db:errmsg()',
  'local f = sqlite3.open("/tmp/file.db") local a = f:exec("CREATE TABLE x (y); INSERT INTO x VALUES (1), (2);") local n for r in f:nrows("SELECT sum(y) AS n FROM x") do n = r.n end f:close() return a .. " " .. tostring(n)',
  'local s for r in db:nrows("SELECT date(0, \'unixepoch\') AS d, printf(\'%.3f\', 1.0/3) AS p") do s = r.d .. r.p end return s'
)

const LUA = new URL('../../../crates/runtime/lua/pirn-lua.wasm', import.meta.url).href

const CASES = [
  [LUA, WASM32, { AOS, DEEP }],
  ['aos2_0_6.wasm', WASM64, { AOS, FILES, DEEP }],
  ['aos2_0_6.wasm', WASM64_METERED, { AOS }],
  ['aos2_0_4_32.wasm', WASM32, { AOS, FILES, DEEP }],
  ['aos2_0_4_32.wasm', WASM32_METERED, { AOS }],
  ['aos2_0_3.wasm', WASM64, { AOS }],
  ['aos2_0_1.wasm', WASM64, { AOS }],
  ['sqlite.wasm', WASM64, { AOS, SQLITE }],
  ['aos.wasm', WASM64, { AOS }],
  ['process.wasm', WASM64, { AOS }]
]

const folder = mkdtempSync(join(tmpdir(), 'pirn-compare-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** What the reference says to each message, and the hash of its memory at the end. */
function reference (bytes, format, messages) {
  const file = join(folder, 'module.wasm')
  writeFileSync(file, bytes)
  const input = messages.map((message) => JSON.stringify({ message, env: ENV })).join('\n')
  const args = ['--experimental-wasm-memory64', fileURLToPath(new URL('reference.cjs', import.meta.url)), file, format, LIMIT]
  const output = execFileSync(process.execPath, args, { input, maxBuffer: 1 << 30, env: { ...process.env, TZ: 'UTC' } })
  return output.toString().trim().split('\n').map((line) => JSON.parse(line))
}

async function ours (bytes, format, messages, exact) {
  const handle = await AoLoader(bytes, { format, computeLimit: LIMIT, exact })
  const said = []
  let memory = null
  for (const message of messages) {
    try {
      const { Memory, ...result } = await handle(memory, message, ENV)
      memory = Memory
      said.push(JSON.parse(JSON.stringify(result)))
    } catch (error) {
      said.push({ Thrown: error?.message ?? error })
    }
  }
  said.push({ memory: createHash('sha256').update(memory ?? '').digest('hex') })
  return said
}

for (const [file, format, logs] of CASES) {
  for (const [name, messages] of Object.entries(logs)) {
    test(`${file.split('/').pop()} as ${format}: ${name}`, async () => {
      const bytes = moduleBytes({ file })
      const they = reference(bytes, format, messages)
      // As a node evaluates, and as the reference leaves its memory.
      for (const exact of [false, true]) {
        const we = await ours(bytes, format, messages, exact)
        assert.equal(we.length, they.length)
        for (const [nonce, expected] of they.entries()) {
          const got = we[nonce]
          if (expected.memory && (!exact || name === 'SQLITE')) continue
          // Gas of an error is not on the wire.
          if (expected.Error) delete expected.GasUsed, delete got.GasUsed
          // As text: the order of keys counts.
          assert.equal(JSON.stringify(got), JSON.stringify(expected), messages[nonce]?.Data)
        }
      }
    })
  }
}

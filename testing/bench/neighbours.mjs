// What processes feel of a neighbour that behaves badly. Ten processes have messages at 30 % of what they can take, at
// fixed times, through the messenger; latencies are from the moment at which a message was due until its outcome.
import { availableParallelism } from 'node:os'
import { ED25519, atRate, dryRun, evaluate, postToResult, quantile, row, script, sized, sleep, spawn, spawnMany, spread, toMessenger, whileTime } from './lib.mjs'

const SECONDS = sized(3, 6)
const PART = 0.3
const LOOPS = 2 * availableParallelism()
const GIANT_MB = 512
/** About a second of Pirn's Lua. */
const SLOW_STEPS = 30_000_000

const processes = await spawnMany(10, ED25519, 'lua')

// What they can take: four in flight each.
let turn = 0
const ready = await spread(ED25519, processes, sized(12_000, 40_000))
await whileTime(500, 40, async () => { const item = ready[turn++]; if (item) await postToResult(item) })
const taken = await whileTime(SECONDS * 500, 40, async () => { const item = ready[turn++]; if (item) await postToResult(item); else await sleep(10) })
if (turn > ready.length) throw new Error(`there were too few messages to find out what the processes can take`)
const capacity = taken.length / (SECONDS / 2)
row('neighbours: capacity of ten Lua processes', 'messages/s', capacity)

const rate = capacity * PART
async function measure (name) {
  const items = await spread(ED25519, processes, Math.ceil(rate * SECONDS))
  const took = await atRate(items, rate, postToResult)
  const [p50, p99] = [quantile(took, 0.5), quantile(took, 0.99)]
  row(`neighbours ${name} p50`, 'ms', p50)
  row(`neighbours ${name} p99`, 'ms', p99)
  return p99
}

for (let i = 0; i < 2; i++) await atRate(await spread(ED25519, processes, Math.ceil(rate * SECONDS / 2)), rate, postToResult)
const alone = await measure('alone')
const against = (name, p99) => row(`neighbours ${name} p99 against alone`, 'times', p99 / alone)
// What the same thing is when it is measured again: no ratio below says more than this one.
against('alone again', await measure('alone again'))

const giant = await spawn(ED25519, 'lua')
for (let i = 0; i < GIANT_MB; i += 64) {
  await evaluate(ED25519, giant, 'Kept = Kept or {}; for i = 1, 64 do Kept[#Kept + 1] = string.rep("x", 2 ^ 20) end; return #Kept')
}
let over = false
const busy = (async () => {
  let n = 0
  for (; !over; n++) await postToResult(await script(ED25519, giant, 'Count = (Count or 0) + 1; Kept[Count % #Kept + 1] = string.rep("y", 2 ^ 20); return Count'))
  return n
})()
against('beside giant state', await measure('beside giant state'))
over = true
if (await busy === 0) throw new Error('the process of giant state had no message evaluated')

// Whose messages go to one that takes a second for each: many are under way to it all the time.
const slow = await spawn(ED25519, 'lua')
await evaluate(ED25519, slow, `Handlers.add('slow', 'Slow', function () local n = 0; for i = 1, ${SLOW_STEPS} do n = n + i end; Slow = (Slow or 0) + 1 end)`)
const sender = await spawn(ED25519, 'lua')
over = false
const sending = (async () => {
  let n = 0
  for (; !over; n++) {
    await postToResult(await script(ED25519, sender, `Send({ Target = '${slow}', Action = 'Slow' })`))
    await sleep(500)
  }
  return n
})()
await sleep(2000)
against('beside a slow target', await measure('beside a slow target'))
over = true
if (await sending === 0) throw new Error('nothing was sent to the slow target')
if (await dryRun(slow, 'return Slow or 0') === '0') throw new Error('the slow target had no message evaluated')

let loops = 0
const loop = async () => {
  await toMessenger(await script(ED25519, await spawn(ED25519, 'lua'), 'while true do end'))
  loops++
  await sleep(300)
}
await loop()
against('beside an endless loop', await measure('beside an endless loop'))
while (loops < LOOPS) await loop()
const name = `beside ${LOOPS} endless loops`
against(name, await measure(name))
process.exit(0)

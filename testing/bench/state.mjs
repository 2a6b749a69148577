// How the cost of a message and of a dry run grows with the memory of a process: a small module of 1 MB to 1 GB, and
// Pirn's Lua with strings of as much. The first size is taken for what a message costs anyway.
import { ED25519, evaluate, expect, median, message, now, outcome, returned, row, script, sized, spawn, dryRun, toScheduler } from './lib.mjs'

const SINGLE = sized(20, 60)
const DRY = sized(5, 20)
/** Messages before that: the first process of a network has to wait for what the others find ready. */
const WARM = 10
const SIZES = [1, 16, 64, 256, 1024]
/** What the Lua module has besides the strings, and what it copies when its tables grow, must fit as well. */
const LUA_MAX = 960

const first = {}
async function measure (name, id, count) {
  const [took, dry] = [[], []]
  for (let i = -WARM; i < SINGLE; i++) {
    const item = await script(ED25519, id)
    const start = now()
    await toScheduler(item)
    await expect(id, item.id, ++count)
    if (i >= 0) took.push(now() - start)
  }
  for (let i = 0; i < DRY; i++) {
    const start = now()
    const value = await dryRun(id, 'Count = Count + 1; return Count')
    dry.push(now() - start)
    if (value !== String(count + 1)) throw new Error(`a dry run of ${name} returned ${value} instead of ${count + 1}`)
  }
  const kind = name.split(' ')[0]
  first[kind] ??= { took: median(took), dry: median(dry) }
  row(`state ${name}: one message p50`, 'ms', median(took))
  row(`state ${name}: one message, the slowest`, 'ms', Math.max(...took))
  row(`state ${name}: dry run p50`, 'ms', median(dry))
  if (name.includes(' 1 MB')) return
  row(`state ${name}: message against 1 MB`, 'times', median(took) / first[kind].took)
  row(`state ${name}: dry run against 1 MB`, 'times', median(dry) / first[kind].dry)
}

for (const megabytes of SIZES) {
  const id = await spawn(ED25519, `state-${megabytes}.wasm`)
  // The first message writes to every page.
  const item = await message(ED25519, id, {})
  await toScheduler(item)
  const count = Number(returned(await outcome(id, item.id)))
  await measure(`wat ${megabytes} MB`, id, count)
}
for (const megabytes of SIZES.map((size) => Math.min(size, LUA_MAX))) {
  const id = await spawn(ED25519, 'lua')
  for (let filled = 0; filled < megabytes; filled += 64) {
    await evaluate(ED25519, id, `Kept = Kept or {}; for i = 1, ${Math.min(64, megabytes - filled)} do Kept[#Kept + 1] = string.rep(string.char(97 + i % 26), 2 ^ 20) end`)
  }
  const held = await evaluate(ED25519, id, 'Count = 0; local n = 0; for _, s in ipairs(Kept) do n = n + #s end; return n')
  if (held !== String(megabytes * 2 ** 20)) throw new Error(`the process holds ${held} bytes instead of ${megabytes} MB`)
  await measure(`lua ${megabytes} MB`, id, 0)
}

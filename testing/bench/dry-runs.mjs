// Dry runs on one process: one at a time, as many as it takes, and beside a stream of messages to the same process; and
// what becomes of the messages.
import { AOS, ED25519, dryRun, median, now, outcome, quantile, row, script, sized, spawn, toScheduler, together, whileTime } from './lib.mjs'

const MS = sized(1500, 4000)
const READERS = 8
const WRITERS = 4
const SINGLE = sized(20, 100)

for (const [name, module] of [['lua', 'lua'], ['aos', AOS]]) {
  const id = await spawn(ED25519, module)
  const write = async () => { const item = await script(ED25519, id); await toScheduler(item); await outcome(id, item.id) }
  const read = async () => {
    const value = Number(await dryRun(id, 'return Count'))
    if (!(value >= 1)) throw new Error(`a dry run returned ${value}`)
  }
  const load = async (width, work) => { const start = now(); const took = await whileTime(MS, width, work); return { took, rate: took.length / (now() - start) * 1000 } }
  await write()
  await read()
  const times = (work) => together(Array.from({ length: SINGLE }), 1, work)
  row(`dry-runs ${name}, one at a time p50`, 'ms', median(await times(read)))
  row(`dry-runs ${name}: one message p50`, 'ms', median(await times(write)))
  const after = []
  for (let i = 0; i < SINGLE; i++) {
    await read()
    after.push(...await together([0], 1, write))
  }
  row(`dry-runs ${name}: one message after a dry run p50`, 'ms', median(after))
  const streamAlone = await load(WRITERS, write)
  const dryAlone = await load(READERS, read)
  const [stream, dry] = await Promise.all([load(WRITERS, write), load(READERS, read)])
  row(`dry-runs ${name} alone`, 'runs/s', dryAlone.rate)
  row(`dry-runs ${name} alone p50`, 'ms', median(dryAlone.took))
  row(`dry-runs ${name} beside a stream`, 'runs/s', dry.rate)
  row(`dry-runs ${name} beside a stream p99`, 'ms', quantile(dry.took, 0.99))
  row(`dry-runs ${name}: the stream alone`, 'messages/s', streamAlone.rate)
  row(`dry-runs ${name}: the stream beside dry runs`, 'messages/s', stream.rate)
}

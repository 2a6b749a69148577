// How the cost of a message grows with the messages that a process has had before: 10 to 100,000, with --full a million.
import { ED25519, expect, median, newest, now, outcome, row, script, scripts, sized, spawn, together, toScheduler } from './lib.mjs'

const LEVELS = sized([10, 100, 1000, 10_000], [10, 100, 1000, 10_000, 100_000], [10, 100, 1000, 10_000, 100_000, 1_000_000])
const SINGLE = 60
const PORTION = 2000

const id = await spawn(ED25519, 'lua')
// The first messages of a network wait for what later ones find ready; another process has them.
const other = await spawn(ED25519, 'lua')
for (const item of await scripts(ED25519, other, 20)) { await toScheduler(item); await outcome(other, item.id) }
let sent = 0
let first
for (const level of LEVELS) {
  let [scheduling, evaluating] = [0, 0]
  const before = sent
  while (sent < level) {
    const items = await scripts(ED25519, id, Math.min(PORTION, level - sent))
    const start = now()
    await together(items, 32, toScheduler)
    const scheduled = now()
    sent += items.length
    await expect(id, (await newest(id)).id, sent)
    scheduling += scheduled - start
    evaluating += now() - scheduled
  }
  if (sent - before >= 500) {
    row(`messages up to ${level}: schedule`, 'messages/s', (sent - before) / scheduling * 1000)
    row(`messages up to ${level}: evaluate`, 'messages/s', (sent - before) / evaluating * 1000)
  }
  const took = []
  for (let i = 0; i < SINGLE; i++) {
    const item = await script(ED25519, id)
    const start = now()
    await toScheduler(item)
    await expect(id, item.id, ++sent)
    took.push(now() - start)
  }
  row(`messages after ${level}: one message p50`, 'ms', median(took))
  first ??= median(took)
  if (level !== LEVELS[0]) row(`messages after ${level} against after ${LEVELS[0]}`, 'times', median(took) / first)
}

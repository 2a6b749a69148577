// Evaluation of N scheduled messages of one process as a stream, then messages one at a time. Arguments: name, module.
import { RSA, evaluate, expect, median, newest, now, row, script, scripts, sized, spawn, together, toScheduler } from './lib.mjs'

const [name, module] = process.argv.slice(2)
const N = sized(500, 2000)
const SINGLE = sized(30, 100)

// The module is compiled before anything is timed.
await evaluate(RSA, await spawn(RSA, module), 'return 1')

const id = await spawn(RSA, module)
await together(await scripts(RSA, id, N), 16, toScheduler)
const last = await newest(id)
const start = now()
await expect(id, last.id, N)
row(`${name} stream`, 'messages/s', N / (now() - start) * 1000)

const [toOutcome, toBoth] = [[], []]
for (let i = 1; i <= SINGLE; i++) {
  const item = await script(RSA, id)
  const posted = now()
  await toScheduler(item)
  const asked = now()
  await expect(id, item.id, N + i)
  toOutcome.push(now() - asked)
  toBoth.push(now() - posted)
}
row(`${name} one message, outcome p50`, 'ms', median(toOutcome))
row(`${name} one message, schedule and outcome p50`, 'ms', median(toBoth))
const again = now()
for (let i = 0; i < 50; i++) await expect(id, last.id, N)
row(`${name} outcome that is known`, 'ms', (now() - again) / 50)

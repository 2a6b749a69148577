// Two processes that answer each other; everything after the first message goes through the messenger's pushing.
import { AOS, RSA, evaluate, newest, now, row, script, sized, sleep, spawn, toMessenger } from './lib.mjs'

const ROUNDS = sized(20, 100)
const PATIENCE_MS = 120_000

for (const count of [1, 4]) {
  const pairs = []
  for (let i = 0; i < count; i++) {
    const [left, right] = [await spawn(RSA, AOS), await spawn(RSA, AOS)]
    await evaluate(RSA, right, 'Handlers.add("ping", "Ping", function (m) Send({ Target = m.From, Action = "Pong", N = m.Tags.N }) end)')
    await evaluate(RSA, left, `Handlers.add("pong", "Pong", function (m)
      local n = tonumber(m.Tags.N)
      if n < ${ROUNDS} then Send({ Target = "${right}", Action = "Ping", N = tostring(n + 1) }) end
    end)`)
    pairs.push({ left, kick: await script(RSA, left, `Send({ Target = "${right}", Action = "Ping", N = "1" })`) })
  }
  // A pair has ended when its left process was sent the kick and all pongs.
  const before = await Promise.all(pairs.map(({ left }) => newest(left)))
  const start = now()
  await Promise.all(pairs.map(({ kick }) => toMessenger(kick)))
  for (;;) {
    const rounds = (await Promise.all(pairs.map(({ left }) => newest(left)))).map(({ slot }, i) => slot - before[i].slot - 1)
    if (rounds.every((n) => n === ROUNDS)) break
    if (rounds.some((n) => n > ROUNDS)) throw new Error(`more pongs than pings: ${rounds}`)
    if (now() - start > PATIENCE_MS) throw new Error(`only ${rounds} of ${ROUNDS} rounds after ${PATIENCE_MS} ms`)
    await sleep(10)
  }
  row(`pingpong ${count} pair${count > 1 ? 's' : ''}`, 'rounds/s', count * ROUNDS / (now() - start) * 1000)
}

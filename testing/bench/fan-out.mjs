// How long until all messages that one message sends have their outcomes: 1 to 1,000 of them, to ten processes.
import { ED25519, evaluate, median, now, row, script, sized, sleep, spawnMany, newest, outcome, toMessenger } from './lib.mjs'

const FANS = [1, 10, 100, 1000]
const TIMES = sized(2, 5)
const PATIENCE_MS = 60_000

const [sender, ...receivers] = await spawnMany(11, ED25519, 'lua')
for (const receiver of receivers) await evaluate(ED25519, receiver, 'Leaves = 0; Handlers.add("leaf", "Leaf", function (m) Leaves = Leaves + 1; print(Leaves) end)')
const list = receivers.map((id) => `"${id}"`).join(', ')
const slots = async () => (await Promise.all(receivers.map(newest))).reduce((sum, { slot }) => sum + slot, 0)

for (const fan of FANS) {
  const took = []
  for (let i = 0; i < TIMES; i++) {
    const item = await script(ED25519, sender, `local to = { ${list} }; for i = 1, ${fan} do Send({ Target = to[i % #to + 1], Action = "Leaf" }) end`)
    const before = await slots()
    const start = now()
    await toMessenger(item)
    for (let n; (n = await slots() - before) !== fan; await sleep(2)) {
      if (n > fan) throw new Error(`${fan} messages were sent and ${n} arrived`)
      if (now() - start > PATIENCE_MS) throw new Error(`only ${n} of ${fan} messages arrived in ${PATIENCE_MS} ms`)
    }
    await Promise.all(receivers.map(async (id) => outcome(id, (await newest(id)).id)))
    took.push(now() - start)
  }
  row(`fan-out ${fan}, until all are evaluated`, 'ms', median(took))
  row(`fan-out ${fan}`, 'messages/s', fan / median(took) * 1000)
}

// Accepted assignments per second at the scheduler; the items are signed beforehand.
import { RSA, newest, now, row, sized, spawnMany, spread, together, toScheduler } from './lib.mjs'

const N = sized(400, 2000)
for (const count of [1, 8]) {
  const processes = await spawnMany(count, RSA, 'lua')
  for (const connections of [1, 8, 32]) {
    const items = await spread(RSA, processes, N)
    const before = await Promise.all(processes.map(newest))
    const start = now()
    await together(items, connections, toScheduler)
    const ms = now() - start
    const after = await Promise.all(processes.map(newest))
    const slots = after.reduce((sum, { slot }, i) => sum + slot - before[i].slot, 0)
    if (slots !== N) throw new Error(`${N} messages were acknowledged and ${slots} have slots`)
    row(`su ${count} process${count > 1 ? 'es' : ''}, ${connections} connection${connections > 1 ? 's' : ''}`, 'messages/s', N / ms * 1000)
  }
}

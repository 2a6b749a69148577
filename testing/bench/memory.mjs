// Resident memory of the whole network, with ten aos processes after 1,000 messages each.
import { AOS, ED25519, expect, newest, residentMB, row, scripts, sized, spawnMany, together, toScheduler } from './lib.mjs'

const N = sized(200, 1000)
row('memory at the start', 'MB', await residentMB())
const processes = await spawnMany(10, ED25519, AOS)
row('memory with ten aos processes', 'MB', await residentMB())
for (const process of processes) {
  await together(await scripts(ED25519, process, N), 16, toScheduler)
  await expect(process, (await newest(process)).id, N)
}
row(`memory with ten aos processes after ${N} messages each`, 'MB', await residentMB())

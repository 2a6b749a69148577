// From POST to the messenger until the outcome is there: aos processes, four messages in flight each.
import { AOS, RSA, expect, newest, now, postToResult, quantile, row, scripts, sized, spawnMany, together } from './lib.mjs'

const N = sized(50, 200)
const IN_FLIGHT = 4
for (const count of [1, 10]) {
  const processes = await spawnMany(count, RSA, AOS)
  const items = await Promise.all(processes.map((process) => scripts(RSA, process, N)))
  const start = now()
  const took = (await Promise.all(items.map((items) => together(items, IN_FLIGHT, postToResult)))).flat()
  const ms = now() - start
  for (const process of processes) await expect(process, (await newest(process)).id, N)
  const name = `e2e ${count} process${count > 1 ? 'es' : ''}`
  row(name, 'messages/s', took.length / ms * 1000)
  row(`${name} p50`, 'ms', quantile(took, 0.5))
  row(`${name} p99`, 'ms', quantile(took, 0.99))
}

// After a restart: a new message of a process that had many, until its outcome is there.
import { ED25519, RSA, expect, network, now, row, script, toScheduler } from './lib.mjs'

const [name] = process.argv.slice(2)
const { process: id, n, module } = network.facts
const item = await script(module === 'lua' ? ED25519 : RSA, id)
const start = now()
await toScheduler(item)
await expect(id, item.id, n + 1)
row(`${name}: restart until a new message has its outcome`, 'ms', now() - start)

// After a restart: a new message of a process that had many, until its outcome is there.
import { RSA, expect, network, now, row, script, toScheduler } from './lib.mjs'

const { process: id, n } = network.facts
const item = await script(RSA, id)
const start = now()
await toScheduler(item)
await expect(id, item.id, n + 1)
row('replay: restart until a new message has its outcome', 'ms', now() - start)

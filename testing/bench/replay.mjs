// Waits for the outcome of the last message of a process at a compute unit that has never seen it.
import { expect, network, now, row } from './lib.mjs'

const [name] = process.argv.slice(2)
const { process: id, last, n } = network.facts
const start = now()
await expect(id, last, n)
const ms = now() - start
row(`${name} cold, log over HTTP`, 'messages/s', n / ms * 1000)
row(`${name} cold, until the outcome`, 's', ms / 1000)

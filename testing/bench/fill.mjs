// Schedules and evaluates N messages of one process; prints `{ process, last, n }` for `replay.mjs`. Argument: module.
import { RSA, expect, newest, scripts, sized, spawn, together, toScheduler } from './lib.mjs'

const [module] = process.argv.slice(2)
const N = sized(500, 2000)
const id = await spawn(RSA, module)
await together(await scripts(RSA, id, N), 16, toScheduler)
const { id: last } = await newest(id)
await expect(id, last, N)
console.log(JSON.stringify({ facts: { process: id, last, n: N } }))

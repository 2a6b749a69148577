// Schedules and evaluates N messages of one process; prints `{ process, last, n }` for `replay.mjs`. Argument: module.
import { ED25519, RSA, expect, newest, scripts, sized, spawn, together, toScheduler } from './lib.mjs'

const [module] = process.argv.slice(2)
const isLua = module === 'lua'
const N = isLua ? sized(2000, 20_000, 100_000) : sized(500, 2000)
const signer = isLua ? ED25519 : RSA
const id = await spawn(signer, module)
// Signed a part at a time: they are many.
for (let left = N; left > 0; left -= 2000) await together(await scripts(signer, id, Math.min(left, 2000)), 16, toScheduler)
const { id: last } = await newest(id)
await expect(id, last, N)
console.log(JSON.stringify({ facts: { process: id, last, n: N, module } }))

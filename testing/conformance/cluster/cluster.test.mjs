// Five programs, a load, and SIGKILL; then the same with a network between them that loses what it likes.
//
// CLUSTER_SECONDS is how long both together do their worst, CLUSTER_SEED what decides it; CLUSTER_KEEP keeps the folder
// with every unit's state and log. The first line of the output says how to have a run again: the same kills and faults
// at the same places, as far as computers do the same thing twice.
import { after, test } from 'node:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../lib/cluster.mjs'
import { dataItem } from '../lib/items.mjs'
import { MODULES, moduleBytes, moduleTags } from '../lib/modules.mjs'
import { wallet } from '../lib/wallets.mjs'
import { chaos } from './chaos.mjs'
import { checkDead, checkEffects, checkOutcomes, checkSchedules, checkWeave, schedules, settle, verify } from './check.mjs'
import { Load } from './load.mjs'

const SECONDS = Number(process.env.CLUSTER_SECONDS ?? 60)
const SEED = Number(process.env.CLUSTER_SEED ?? Math.floor(Math.random() * 1e9))
const OURS = new URL('../../../crates/runtime/lua/pirn-lua.wasm', import.meta.url)

// Node 20 was seen to go round for ever where it closes what is still open when a program ends by itself. One that exits
// leaves that to the operating system.
after(() => process.once('exit', (code) => process.reallyExit(process.exitCode ?? code)))

for (const proxies of [false, true]) {
  test(proxies ? 'killed, over a network that drops, delays and resets' : 'killed', { timeout: (SECONDS * 10 + 1200) * 1000 }, async (t) => {
    t.diagnostic(`CLUSTER_SEED=${SEED} CLUSTER_SECONDS=${SECONDS} node --test`)
    const seed = `${SEED} ${proxies}`
    const folder = mkdtempSync(join(tmpdir(), 'pirn-cluster-'))
    const cluster = await startCluster(folder, { seed, proxies })
    try {
      const modules = []
      for (const [bytes, format] of [
        [await readFile(OURS), 'wasm32-unknown-emscripten4'],
        [moduleBytes(MODULES['aos 2.0.6 (64-bit)']), MODULES['aos 2.0.6 (64-bit)'].format]
      ]) modules.push(await publish(cluster, bytes, format))

      const load = new Load(cluster, modules, seed)
      await cluster.setFaults(proxies)
      const running = load.run()
      const kills = await Promise.race([chaos(cluster, SECONDS / 2, seed), running.then(() => { throw new Error('the load ended early') })])
      await cluster.setFaults(false)
      load.finish()
      await running

      const { ms, seen } = await settle(cluster)
      t.diagnostic(`came to rest in ${ms} ms`)
      if (seen) t.diagnostic(`under way in their midst: ${seen}`)
      await checkDead(cluster)
      const log = await schedules(cluster, load.acknowledged.map(({ process }) => process))
      checkSchedules(log)
      const { messages, effects } = checkEffects(log, load.acknowledged)
      await checkOutcomes(cluster, log, load.answers)
      await checkWeave(cluster, log, load.acknowledged)
      const verified = await verify(cluster, Object.keys(log))
      t.diagnostic(`kills ${JSON.stringify(kills)}`)
      if (proxies) t.diagnostic(`faults ${JSON.stringify(cluster.faults)}`)
      t.diagnostic(`${load.acknowledged.length} acknowledged, ${load.failed} requests failed, ${load.answers.length} outcomes read meanwhile`)
      t.diagnostic(`${Object.keys(log).length} processes, ${messages} slots, ${effects} effects of processes once each, ${verified} slots verified from the weave`)
    } catch (cause) {
      // Whoever has nothing but the end of a log must be able to have it again.
      throw new Error(`CLUSTER_SEED=${SEED} CLUSTER_SECONDS=${SECONDS}, ${proxies ? 'with' : 'without'} proxies: ${cause.message}`, { cause })
    } finally {
      await cluster.stop()
      if (process.env.CLUSTER_KEEP) t.diagnostic(`everything is in ${folder}`)
      else rmSync(folder, { recursive: true, force: true })
    }
  })
}

/** Publishes a module as an item and answers its id. */
async function publish (cluster, bytes, format) {
  const item = dataItem(wallet(0), { tags: moduleTags({ format }), data: bytes })
  const answer = await fetch(`${cluster.direct('bundler')}/tx`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })
  if (!answer.ok) throw new Error(`publishing: ${answer.status} ${await answer.text()}`)
  return item.id
}

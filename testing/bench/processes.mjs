// Many processes of one node: what each costs in memory and on the disk, what it costs to wake one, and what it costs
// to have many of them active. N is how many; `network.state`, where it is known, the folder whose bytes are counted.
import { spawnSync } from 'node:child_process'
import {
  ED25519, dataItem, expect, gauge, median, moduleId, network, now, outcome, postToResult, quantile, residentMB, row, script, sized, spread, toMessenger, toScheduler, together
} from './lib.mjs'

const N = Number(process.env.N ?? sized(1_000, 10_000, 100_000))
const WIDTH = 16
/** How many are woken one after the other, are active at once, and how many messages these get in each round. */
const WAKES = Math.min(500, N)
const ACTIVE = Math.min(1_000, N)
const MESSAGES = sized(2_000, 5_000, 10_000)
const ROUNDS = 3

const signer = ED25519
const spawn = async () => {
  const item = await dataItem(signer, {
    tags: {
      'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Process', Module: moduleId('lua'), Scheduler: network.addresses.su, Name: 'bench', Authority: network.authority
    }
  })
  await toMessenger(item)
  await outcome(item.id, item.id)
  return item.id
}

/** Bytes on the disk below the state folder, by folder; what a file occupies, not how long it is. */
const disk = () => {
  if (!network.state) return []
  const { stdout } = spawnSync('du', ['--block-size=1', '--max-depth=2', network.state], { encoding: 'utf8', maxBuffer: 2 ** 30 })
  return stdout.trim().split('\n').map((line) => line.split('\t')).map(([bytes, path]) => [path.slice(network.state.length) || '/', Number(bytes)])
}

// Spawned, booted, and each with a message handled ----------------------------------------------------------------------

const [before, diskBefore] = [await residentMB(), disk()]
const processes = new Array(N)
const begin = now()
let [done, since] = [0, begin]
await together([...processes.keys()], WIDTH, async (i) => {
  processes[i] = await spawn()
  await postToResult(await script(signer, processes[i]))
  done++
  if (done * 10 % N < 10 && Math.floor(done * 10 / N) > Math.floor((done - 1) * 10 / N)) {
    const tenth = Math.floor(done * 10 / N)
    const at = now()
    row(`processes ${N}: spawned and asked, tenth ${tenth}`, 'processes/s', N / 10 / (at - since) * 1000)
    since = at
    row(`processes ${N}: resident after tenth ${tenth}`, 'MB', await residentMB())
  }
})
row(`processes ${N}: spawned and asked`, 'processes/s', N / (now() - begin) * 1000)
const resident = await residentMB()
row(`processes ${N}: resident`, 'MB', resident)
row(`processes ${N}: resident for each`, 'KB', (resident - before) * 1024 / N)
row(`processes ${N}: machines in memory`, 'machines', await gauge('pirn_cu_machines'))
const was = new Map(diskBefore)
for (const [folder, bytes] of disk()) row(`processes ${N}: disk of each, ${folder}`, 'KB', (bytes - (was.get(folder) ?? 0)) / 1024 / N)

// Asked again after they went: the oldest ones, one after the other ------------------------------------------------------

const count = new Map(processes.map((process) => [process, 1]))
/** Scheduled; then how long until the outcome is there. */
const wake = async (process) => {
  const item = await script(signer, process)
  await toScheduler(item)
  const start = now()
  count.set(process, count.get(process) + 1)
  await expect(process, item.id, count.get(process))
  return now() - start
}
const one = async (what, which) => {
  const took = []
  for (const process of which) took.push(await wake(process))
  row(`processes ${N}: outcome of ${what} p50`, 'ms', quantile(took, 0.5))
  row(`processes ${N}: outcome of ${what} p99`, 'ms', quantile(took, 0.99))
}
const oldest = processes.slice(0, WAKES)
// Where all fit into memory nobody has to be woken, and the row says so.
const woken = await gauge('pirn_cu_woken')
const name = N - await gauge('pirn_cu_machines') >= WAKES ? 'one that was not in memory' : 'one that was in memory'
await one(name, oldest)
if (name === 'one that was not in memory' && await gauge('pirn_cu_woken') - woken < WAKES) throw new Error('some that were measured were in memory')
await one('the same again', oldest.slice(-100))

// A few active ones and many, in turn ---------------------------------------------------------------------------------

const few = processes.slice(0, 10)
const many = processes.slice(0, ACTIVE)
await together(await spread(signer, many, many.length), WIDTH, postToResult)
const rates = { few: [], many: [] }
for (let i = 0; i < ROUNDS; i++) {
  for (const [name, which] of Object.entries({ few, many })) {
    const items = await spread(signer, which, MESSAGES)
    const start = now()
    await together(items, 32, postToResult)
    rates[name].push(MESSAGES / (now() - start) * 1000)
  }
}
row(`processes ${N}: 10 active`, 'messages/s', median(rates.few))
row(`processes ${N}: ${ACTIVE} active`, 'messages/s', median(rates.many))
row(`processes ${N}: ${ACTIVE} active, of the rate of 10`, 'of 1/s', median(rates.many.map((rate, i) => rate / rates.few[i])))

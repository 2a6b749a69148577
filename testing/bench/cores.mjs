// What a second core is worth: streams of several aos processes, evaluated on one core and on all of them in turn. The
// network is moved between them while it runs; this program only waits meanwhile.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { AOS, ED25519, expect, median, network, newest, now, row, scripts, sized, spawnMany, toScheduler, together } from './lib.mjs'

const CORES = availableParallelism()
const PROCESSES = 2 * CORES
const N = sized(200, 500)
const ROUNDS = 3

/** The process of the operating system that runs on our state folder. */
const pid = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).find((name) => {
  try {
    const [program, ...words] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
    return /(^|\/)pirn[^/]*$/.test(program) && words.includes(network.state)
  } catch { return false }
})
if (!pid) throw new Error('the network is not found among the processes of this computer')

/** All of its threads, and those that they will start, run on the first so many cores. */
const useCores = (n) => execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `0-${n - 1}`, pid])

const processes = await spawnMany(PROCESSES, ED25519, AOS)
let evaluated = 0
async function measure (cores) {
  useCores(CORES)
  for (const process of processes) await together(await scripts(ED25519, process, N), 16, toScheduler)
  const last = await Promise.all(processes.map(newest))
  evaluated += N
  useCores(cores)
  const start = now()
  await Promise.all(processes.map((process, i) => expect(process, last[i].id, evaluated)))
  return PROCESSES * N / (now() - start) * 1000
}

await measure(CORES)
const rates = { one: [], all: [] }
for (let i = 0; i < ROUNDS; i++) {
  rates.one.push(await measure(1))
  rates.all.push(await measure(CORES))
}
row(`cores: ${PROCESSES} streams of aos on one core`, 'messages/s', median(rates.one))
row(`cores: the same on ${CORES}`, 'messages/s', median(rates.all))
row(`cores: ${CORES} of the rate of one`, 'of 1/s', median(rates.all.map((rate, i) => rate / rates.one[i])))

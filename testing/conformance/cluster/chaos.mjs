// Kills units at random, as a power cut would, and starts them again.
import { UNITS } from '../lib/cluster.mjs'
import { randomFor } from '../lib/random.mjs'

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Kills and restarts units of `cluster` for `seconds`; all run again at the end. Answers how often each was killed. */
export async function chaos (cluster, seconds, seed) {
  const draw = randomFor(seed, 'chaos')
  const kills = Object.fromEntries(UNITS.map((unit) => [unit, 0]))
  const end = Date.now() + seconds * 1000
  while (true) {
    const quiet = 200 + draw() * 1800
    if (Date.now() + quiet >= end) break
    await sleep(quiet)
    const first = Math.floor(draw() * UNITS.length)
    const second = (first + 1 + Math.floor(draw() * (UNITS.length - 1))) % UNITS.length
    const victims = draw() < 0.3 ? [first, second] : [first]
    const downs = [draw() * 2000, draw() * 2000]
    await Promise.all(victims.map(async (victim, i) => {
      const unit = UNITS[victim]
      kills[unit]++
      await cluster.kill(unit)
      await sleep(downs[i])
      await cluster.start(unit)
    }))
  }
  await sleep(Math.max(0, end - Date.now()))
  return kills
}

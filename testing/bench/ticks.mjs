// Timers: what those that are not due cost in memory; how many ticks a second get their slots when many are due at one
// moment; and by how much ticks are late that are due one after the other, beside all of these. A tick is late by the
// time of its assignment, less the moment that it is for. What ticks set off is evaluated and pushed meanwhile.
import { ED25519, dataItem, gauge, moduleId, network, now, quantile, residentMB, row, schedule, sized, sleep, toScheduler, together } from './lib.mjs'

const TIMERS = sized(10_000, 100_000, 1_000_000)
const BURST = sized(960, 4_992, 19_968)
const STEADY = sized(320, 3_200)
const STEADY_S = sized(20, 30, 60)
/** What a process may have. */
const OF_EACH = 32
const PERIOD_MS = 10_000
const PATIENCE_MS = 600_000

/** Spawns processes with timers, `count` in all; `timer(i)` are the tags of each. */
async function spawn (count, timer) {
  const processes = []
  await together([...Array(Math.ceil(count / OF_EACH)).keys()], 32, async (n) => {
    const tags = Object.entries({
      'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Process', Module: moduleId('lua'), Scheduler: network.addresses.su, Name: 'bench', Authority: network.authority
    })
    for (let i = n * OF_EACH; i < Math.min(count, (n + 1) * OF_EACH); i++) tags.push(...Object.entries(timer(i)))
    const item = await dataItem(ED25519, { tags: tags.map(([name, value]) => ({ name, value: String(value) })), data: '1984' })
    await toScheduler(item)
    processes.push(item.id)
  })
  return processes
}

const tag = (item, name) => item.tags.find((each) => each.name === name)?.value

/** The ticks of processes, each with its moment and how late it was, ms. */
async function ticksOf (processes) {
  const ticks = []
  await together(processes, 16, async (process) => {
    for (const { message, assignment } of await schedule(process)) {
      if (!message || tag(message, 'Tick-Due') === undefined) continue
      const due = Number(tag(message, 'Tick-Due'))
      ticks.push({ timer: `${process} ${tag(message, 'Tick-Name')}`, due, late: Number(tag(assignment, 'Timestamp')) - due })
    }
  })
  return ticks
}

const late = (what, ticks) => {
  const times = ticks.map(({ late }) => late)
  row(`${what}: late p50`, 'ms', quantile(times, 0.5))
  row(`${what}: late p99`, 'ms', quantile(times, 0.99))
  row(`${what}: late at most`, 'ms', Math.max(...times))
}

/** Until a gauge has reached a value; when that was. */
async function reaches (name, value) {
  const begin = now()
  for (;;) {
    const is = await gauge(name)
    if (is >= value) return Date.now()
    if (now() - begin > PATIENCE_MS) throw new Error(`${name} is ${is} and not ${value} after ${PATIENCE_MS} ms`)
    await sleep(20)
  }
}

// Not due -------------------------------------------------------------------------------------------------------------

const before = await residentMB()
const begin = now()
await spawn(TIMERS, () => ({ 'Tick-Interval': '1-day' }))
row(`${TIMERS} timers: set`, 'timers/s', TIMERS / (now() - begin) * 1000)
const resident = await residentMB()
row(`${TIMERS} timers: resident memory added`, 'MB', resident - before)
row(`${TIMERS} timers: resident memory for each`, 'KB', (resident - before) * 1024 / TIMERS)

// All at one moment ---------------------------------------------------------------------------------------------------

const moment = Date.now() + sized(10_000, 20_000, 60_000)
const [given, told] = [await gauge('pirn_su_ticks'), await gauge('pirn_su_ticks_told')]
const atOnce = await spawn(BURST, () => ({ 'Tick-Interval': '1-day', 'Tick-Start': moment, 'Tick-Budget': 1 }))
if (Date.now() > moment) throw new Error(`${BURST} timers were not set before they were due`)
await sleep(moment - Date.now())
const slots = reaches('pirn_su_ticks', given + BURST)
const pushes = reaches('pirn_su_ticks_told', told + BURST)
row(`${BURST} ticks due at once: with a slot`, 'ticks/s', BURST / (await slots - moment) * 1000)
row(`${BURST} ticks due at once: taken by the messenger`, 'ticks/s', BURST / (await pushes - moment) * 1000)
const burst = await ticksOf(atOnce)
if (burst.length !== BURST) throw new Error(`${burst.length} ticks instead of ${BURST}`)
late(`${BURST} ticks due at once`, burst)

// One after the other -------------------------------------------------------------------------------------------------

const first = Date.now() + sized(5_000, 10_000)
const end = first + STEADY_S * 1000
const inTurn = await spawn(STEADY, (i) => ({
  'Tick-Interval': `${PERIOD_MS / 1000}-seconds`, 'Tick-Start': first + Math.floor(i * PERIOD_MS / STEADY), 'Tick-End': end - 1
}))
if (Date.now() > first) throw new Error(`${STEADY} timers were not set before they were due`)
const wanted = STEADY * STEADY_S * 1000 / PERIOD_MS
await reaches('pirn_su_ticks', given + BURST + wanted)
const steady = await ticksOf(inTurn)
if (steady.length !== wanted || new Set(steady.map(({ timer, due }) => `${timer} ${due}`)).size !== wanted) {
  throw new Error(`${steady.length} ticks instead of ${wanted}, or one twice`)
}
late(`${STEADY * 1000 / PERIOD_MS} ticks a second beside ${TIMERS} timers`, steady)
row(`${TIMERS} timers: resident memory after all ticks`, 'MB', await residentMB())

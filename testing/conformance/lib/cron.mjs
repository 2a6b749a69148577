// What the compute units of the legacy network do about crons, written down apart from ours: which ticks lie between two
// entries of a schedule, and in which order outcomes are listed.

const UNITS = { second: 1, seconds: 1, minute: 60, minutes: 60, hour: 3600, hours: 3600, day: 86400, days: 86400, year: 31557600, years: 31557600 }

/** The crons in tags: `{ blocks: [{ every, interval }], times: […] }`, those of time by their length. */
export function cronsOf (tags) {
  const crons = { blocks: [], times: [] }
  for (const { name, value } of tags) {
    if (name !== 'Cron-Interval') continue
    const [number, unit] = value.split('-')
    if (unit.startsWith('block')) crons.blocks.push({ every: Number(number), interval: value })
    else crons.times.push({ every: Number(number) * UNITS[unit], interval: value })
  }
  crons.times.sort((a, b) => a.every - b.every)
  return crons
}

/** The ticks between two entries: `origin`, `left` and `right` are `{ timestamp, height, nonce }`, `blocks` `{ height, timestamp }`; all in ms. */
export function ticksBetween (crons, origin, left, right, blocks) {
  const ticks = []
  const waiting = blocks.filter(({ height }) => height > left.height && height <= right.height).sort((a, b) => a.height - b.height)
  const second = (ms) => Math.floor(ms / 1000)
  let height = left.height
  for (let now = left.timestamp; now < right.timestamp; now += 1000) {
    const due = (at, of, number, interval) => ticks.push({ timestamp: at, ordinate: String(left.nonce), cron: `${number}-${interval}`, height: of })
    if (waiting.length && second(now) >= second(waiting[0].timestamp)) {
      const block = waiting.shift()
      height = block.height
      crons.blocks.forEach(({ every, interval }, number) => {
        const since = block.height - origin.height
        if (since !== 0 && since % every === 0) due(block.timestamp, block.height, number, interval)
      })
    }
    crons.times.forEach(({ every, interval }, number) => {
      const since = second(now) - second(origin.timestamp)
      if (since !== 0 && since % every === 0) due(now, height, number, interval)
    })
  }
  return ticks
}

/** As pages of outcomes are ordered: by time, then slot, then cron; a message before the ticks of its moment. */
export const inOrder = (edges) => [...edges].sort((a, b) =>
  a.timestamp - b.timestamp || Number(a.ordinate) - Number(b.ordinate) || (a.cron ?? '').localeCompare(b.cron ?? ''))

/** What a cursor of `/results` says. */
export const cursorOf = ({ cursor }) => JSON.parse(Buffer.from(cursor, 'base64').toString())

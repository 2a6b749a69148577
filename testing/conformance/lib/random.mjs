// Chance that can be had again.
import { createHash } from 'node:crypto'

/** Numbers in [0, 1) out of a seed (mulberry32): the same seed gives the same numbers. */
export function random (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Numbers for one purpose out of a common seed: what one of them draws changes nothing for the others. */
export const randomFor = (seed, purpose) => random(createHash('sha256').update(`${seed} ${purpose}`).digest().readUInt32BE())

/** One of a list. */
export const pick = (draw, list) => list[Math.floor(draw() * list.length)]

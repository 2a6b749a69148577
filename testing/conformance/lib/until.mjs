// Waiting for a condition, never for a time.

/** Asks `probe` until it answers something truthy; fails with `what` when `seconds` have passed. */
export async function until (what, probe, seconds = 60) {
  const end = Date.now() + seconds * 1000
  for (let wait = 10; ; wait = Math.min(wait * 2, 500)) {
    const answer = await probe()
    if (answer) return answer
    if (Date.now() > end) throw new Error(`after ${seconds} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

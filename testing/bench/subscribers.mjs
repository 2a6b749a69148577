// Streams of what a process sends: how fast they open, how many messages a second all of them hear, and how long one
// message takes until the last has it; one of them never reads.
import { Agent } from 'undici'
import { ED25519, evaluate, median, network, now, row, script, sized, spawnMany, toMessenger } from './lib.mjs'

const SUBSCRIBERS = sized(200, 1000)
const ROUNDS = sized(5, 20)
const BURST = 50
const PATIENCE_MS = 60_000
/** A connection for each stream: more than other load programs have together. */
const dispatcher = new Agent({ connections: SUBSCRIBERS + 16, headersTimeout: PATIENCE_MS, bodyTimeout: 0 })

const [process] = await spawnMany(1, ED25519, 'lua')
await evaluate(ED25519, process, 'function Say(n) for i = 1, n do Send({ Target = ao.id, Action = "Noted", Data = tostring(i) }) end end')
const url = `${network.urls.mu}/api/v1/processes/${process}/subscribe?action=Noted`

let heard = 0
let wanted = Infinity
let all = () => {}

/** Counts the messages of a stream, which it recognises by their event. */
async function listen () {
  const response = await fetch(url, { dispatcher })
  if (response.status !== 200) throw new Error(`a stream: ${response.status} ${await response.text()}`)
  const read = async () => {
    let rest = ''
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const text = rest + piece
      const events = text.split('event: message\n')
      heard += events.length - 1
      rest = events.at(-1).slice(-15)
      if (heard >= wanted) all()
    }
  }
  read().catch(() => {})
}

const start = now()
await Promise.all(Array.from({ length: SUBSCRIBERS }, listen))
row(`${SUBSCRIBERS} streams, opened`, 'streams/s', SUBSCRIBERS / (now() - start) * 1000)
// It is there and takes nothing.
await fetch(url, { dispatcher })

async function round (messages) {
  heard = 0
  wanted = messages * SUBSCRIBERS
  const item = await script(ED25519, process, `Say(${messages})`)
  const begin = now()
  let timer
  const done = new Promise((resolve, reject) => {
    all = resolve
    timer = setTimeout(() => reject(new Error(`${heard} of ${wanted} were heard in ${PATIENCE_MS} ms`)), PATIENCE_MS)
  })
  await toMessenger(item)
  await done
  clearTimeout(timer)
  return now() - begin
}

const single = []
for (let i = 0; i < ROUNDS; i++) single.push(await round(1))
row(`one message, until ${SUBSCRIBERS} streams have it`, 'ms', median(single))
const bursts = []
for (let i = 0; i < ROUNDS; i++) bursts.push(await round(BURST))
row(`${SUBSCRIBERS} streams, ${BURST} messages at once`, 'heard/s', BURST * SUBSCRIBERS / median(bursts) * 1000)
globalThis.process.exit(0)

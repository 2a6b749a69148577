// What people do all day, through aoconnect: spawn, send, read; and what processes then do among themselves. Requests
// may fail at any time. What was acknowledged is written down, and nothing else counts.
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { client } from '../lib/ao.mjs'
import { pick, randomFor } from '../lib/random.mjs'
import { wallet } from '../lib/wallets.mjs'

/** Messages of a chain after its first. */
export const HOPS = 4
/** Messages that somebody sends before he spawns his next process. */
const MESSAGES_EACH = 120
const WORKERS = 8
/** Times that the same signed bytes are sent before they are given up. */
const TRIES = 60

const HANDLERS = `
  Count = Count or 0
  Handlers.add('add', 'Add', function () Count = Count + 1 end)
  Handlers.add('hop', 'Hop', function (m)
    local n = tonumber(m.Tags.N)
    if n > 0 then Send({ Target = m.Tags.Next, Action = 'Hop', N = tostring(n - 1), Chain = m.Tags.Chain, Next = ao.id }) end
  end)
  Handlers.add('fan', 'Fan', function (m)
    for i = 1, 3 do Send({ Target = m.Tags.To, Action = 'Leaf', Fan = m.Tags.Fan, I = tostring(i) }) end
  end)
  Handlers.add('leaf', 'Leaf', function () Count = Count + 1 end)
  Handlers.add('brood', 'Brood', function (m)
    Spawn(ao.env.Module.Id, { Data = 'child', Tags = { Authority = ao.authorities[1], Brood = m.Tags.Brood } })
  end)
  Handlers.add('spawned', 'Spawned', function () Count = Count + 1 end)
  Handlers.add('share', 'Share', function (m) Assign({ Processes = { m.Tags.To }, Message = m.Id }) end)
  return 'ready'`

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A load on `cluster` with processes of `modules`. */
export class Load {
  constructor (cluster, modules, seed) {
    Object.assign(this, { cluster, modules, seed })
    /** Processes that were spawned and know what to do. */
    this.processes = []
    /** `{ process, id, action, mark }`, `mark` naming the chain, fan, brood or share that it began. */
    this.acknowledged = []
    /** Outcomes as clients saw them in the midst of it: `{ process, id, result }`. */
    this.answers = []
    this.failed = 0
    this.over = false
  }

  /** Goes on until `finish`; a worker that ends before that has found something wrong. */
  async run () {
    await Promise.all(Array.from({ length: WORKERS }, (_, n) => this.#work(n)))
  }

  /** Lets everybody finish what they are at. */
  finish () { this.over = true }

  async #work (n) {
    const draw = randomFor(this.seed, `worker ${n}`)
    const me = wallet(n)
    const at = async (cu) => client(await this.cluster.seenBy(`user ${n}`, cu), me, { aoconnect, Arweave })
    const ways = [await at('cu1'), await at('cu2')]
    for (let round = 0; !this.over; round++) {
      const module = round === 0 ? this.modules[n % this.modules.length] : pick(draw, this.modules)
      const process = await this.#insist(() => ways[0].spawn(module, [{ name: 'Round', value: `${n}-${round}` }]))
      if (!process) return
      this.acknowledged.push({ process, id: process, action: 'Process' })
      if (!await this.#send(ways[0], draw, process, { Action: 'Eval' }, HANDLERS, 'certainly')) return
      this.processes.push(process)
      for (let i = 0; i < MESSAGES_EACH && !this.over; i++) await this.#message(ways, draw, process, `${n}-${round}-${i}`)
    }
  }

  async #message (ways, draw, own, mark) {
    const drawn = draw()
    const [here, there] = [pick(draw, this.processes), pick(draw, this.processes)]
    const way = pick(draw, ways)
    let sent
    if (drawn < 0.25) sent = await this.#send(way, draw, own, { Action: 'Eval' }, 'Count = Count + 1; return Count')
    else if (drawn < 0.35) sent = await this.#send(way, draw, here, { Action: 'Add' })
    else if (drawn < 0.75) sent = await this.#send(way, draw, here, { Action: 'Hop', N: HOPS, Chain: mark, Next: there })
    else if (drawn < 0.87) sent = await this.#send(way, draw, here, { Action: 'Fan', Fan: mark, To: there })
    else if (drawn < 0.9) sent = await this.#send(way, draw, here, { Action: 'Brood', Brood: mark })
    else if (here !== there) sent = await this.#send(way, draw, here, { Action: 'Share', Share: mark, To: there })
    if (sent && draw() < 0.5) await this.#read(pick(draw, ways), sent)
    await sleep(draw() * 60)
  }

  /** Sends a message; half of them, or `certainly`, again and again as the same bytes until somebody takes them. */
  async #send (way, draw, process, tags, data = ' ', certainly = draw() < 0.5) {
    const signed = await way.ao.signMessage({
      process, data, signer: way.signer, anchor: anchor(draw), tags: Object.entries(tags).map(([name, value]) => ({ name, value: String(value) }))
    })
    const id = certainly
      ? await this.#insist(() => way.ao.sendSignedMessage(signed))
      : await way.ao.sendSignedMessage(signed).catch(() => { this.failed++ })
    if (!id) return
    const sent = { process, id, action: tags.Action, ...tags }
    this.acknowledged.push(sent)
    return sent
  }

  async #read (way, { process, id }) {
    try {
      const result = await way.ao.result({ process, message: id })
      // aoconnect hands a unit's refusal on as if it were an outcome.
      if ('error' in result) throw new Error(result.error)
      this.answers.push({ process, id, result })
    } catch { this.failed++ }
  }

  async #insist (what) {
    for (let tries = 0; tries < TRIES; tries++) {
      try { return await what() } catch { this.failed++ }
      await sleep(Math.min(100 * 2 ** tries, 1000))
    }
  }
}

const anchor = (draw) => Array.from({ length: 32 }, () => Math.floor(draw() * 36).toString(36)).join('')

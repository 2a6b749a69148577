// What the load programs share: signed items, requests that must succeed, loads, and rows.
// A program is told of its network in the environment, and prints each figure as one line of JSON.
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, constants } from 'node:crypto'
import { promisify } from 'node:util'
import { Agent, request, setGlobalDispatcher } from 'undici'
import { deepHash, tagsOf } from '../conformance/lib/items.mjs'
import { wallet } from '../conformance/lib/wallets.mjs'

const PATIENCE_MS = 600_000
setGlobalDispatcher(new Agent({ connections: 512, headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS }))

/** The network: `urls`, `addresses`, `authority`, `lua` (the id of Pirn's own module), `modules` by file name, `size`. */
export const network = JSON.parse(process.env.PIRN_BENCH ?? '{}')

/** One of three by how long the run may take: `--quick`, nothing, `--full`. */
export const sized = (quick, normal, full = normal) => ({ quick, normal, full })[network.size ?? 'normal']

/** A figure. Its unit says which way is better: more of what ends in `/s`, less of anything else. */
export const row = (name, unit, value) => {
  if (!Number.isFinite(value)) throw new Error(`${name} is no number: ${value}`)
  console.log(JSON.stringify({ name, unit, value }))
}

export const now = () => performance.now()
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** The value that the part `p` of them does not exceed; none of no values. */
export const quantile = (values, p) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]
}
export const median = (values) => quantile(values, 0.5)

// Items ---------------------------------------------------------------------------------------------------------------

const ao = { 'Data-Protocol': 'ao', Variant: 'ao.TN.1' }
const signAsync = promisify(sign)

/** The wallet of most people of the field: RSA-4096. What is compared with peers is signed by it. */
export const RSA = (() => {
  const jwk = wallet(0)
  const key = { key: createPrivateKey({ key: jwk, format: 'jwk' }), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  return { kind: 1, owner: Buffer.from(jwk.n, 'base64url'), sign: (bytes) => signAsync('sha256', bytes, key) }
})()

/** A wallet that signs fast: for loads in which signing is not what is looked at. The same in every program. */
export const ED25519 = (() => {
  const seed = createHash('sha256').update('pirn bench').digest()
  const privateKey = createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8' })
  const owner = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x, 'base64url')
  return { kind: 2, owner, sign: async (bytes) => sign(null, bytes, privateKey) }
})()

const zigzag = (n) => {
  const out = []
  let rest = n * 2
  do { out.push(rest % 128 + (rest >= 128 ? 128 : 0)); rest = Math.floor(rest / 128) } while (rest)
  return Buffer.from(out)
}
const text = (s) => { const bytes = Buffer.from(s, 'utf8'); return Buffer.concat([zigzag(bytes.length), bytes]) }
const u64 = (n) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(n)); return bytes }

/** A signed ANS-104 data item: `{ id, raw }`. `tags` is an object, or a list where a name is there twice. */
export async function dataItem (signer, { target, tags, data = ' ' }) {
  const list = Array.isArray(tags) ? tags : tagsOf(tags)
  const to = target ? Buffer.from(target, 'base64url') : Buffer.alloc(0)
  const anchor = randomBytes(32)
  const tagBytes = Buffer.concat([zigzag(list.length), ...list.flatMap(({ name, value }) => [text(name), text(value)]), Buffer.from([0])])
  const body = Buffer.from(data)
  const signature = await signer.sign(deepHash(['dataitem', '1', String(signer.kind), signer.owner, to, anchor, tagBytes, body]))
  const raw = Buffer.concat([
    Buffer.from([signer.kind, 0]), signature, signer.owner, Buffer.from([to.length ? 1 : 0]), to, Buffer.from([1]), anchor,
    u64(list.length), u64(tagBytes.length), tagBytes, body
  ])
  return { id: createHash('sha256').update(signature).digest('base64url'), raw, target }
}

export const COUNT = 'Count = (Count or 0) + 1; return Count'

export const message = (signer, target, tags, data) =>
  dataItem(signer, { target, tags: { ...ao, Type: 'Message', SDK: 'aoconnect', ...tags }, data })

/** A message that evaluates Lua. */
export const script = (signer, target, lua = COUNT) => message(signer, target, { Action: 'Eval' }, lua)

/** `n` of them, signed before anything is timed. */
export const scripts = (signer, target, n, lua = COUNT) => Promise.all(Array.from({ length: n }, () => script(signer, target, lua)))

// Requests ------------------------------------------------------------------------------------------------------------

async function http (method, url, body, type = 'application/octet-stream') {
  const answer = await request(url, {
    method, body, headers: body ? { 'content-type': type, accept: 'application/json' } : { accept: 'application/json' }, headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS
  })
  return { status: answer.statusCode, text: await answer.body.text() }
}

const must = (what, answer, status) => {
  if (answer.status !== status) throw new Error(`${what}: ${answer.status} instead of ${status}: ${answer.text.slice(0, 300)}`)
  return answer
}

/** Hands an item to the messenger, or to the scheduler; answers its id. */
export const toMessenger = async (item) => { must('POST to the messenger', await http('POST', network.urls.mu, item.raw), 202); return item.id }
export const toScheduler = async (item) => { must('POST to the scheduler', await http('POST', network.urls.su, item.raw), 200); return item.id }

const checked = (what, answer) => {
  const outcome = JSON.parse(must(what, answer, 200).text)
  if (outcome.Error || outcome.error) throw new Error(`${what}: ${JSON.stringify(outcome.Error ?? outcome.error).slice(0, 300)}`)
  return outcome
}

/** The outcome of a message, when it is there; the guest's failure is an error. */
export async function outcome (process, id, cu = network.urls.cu) {
  const url = `${cu}/result/${id}?process-id=${process}`
  // Who asks for a message that the messenger has taken and not scheduled yet is told so.
  for (let tries = 0; ; tries++) {
    const answer = await http('GET', url)
    if (answer.status !== 404 || tries === 40) return checked(`outcome of ${id} of ${process}`, answer)
    await sleep(25)
  }
}

/** What a script returned, as text. */
export const returned = ({ Output }) => String(Output?.data?.output ?? Output?.data ?? Output)

/** The outcome of a message must have returned `wanted`. */
export async function expect (process, id, wanted, cu) {
  const got = returned(await outcome(process, id, cu))
  if (got !== String(wanted)) throw new Error(`${id} of ${process} returned ${got.slice(0, 200)} instead of ${wanted}`)
}

/** What a message that nobody signed would return. */
export async function dryRun (process, lua) {
  const body = JSON.stringify({
    Id: '1'.repeat(43), Target: process, Owner: owner, From: owner, Anchor: '0', Data: lua, Tags: tagsOf({ ...ao, Type: 'Message', Action: 'Eval' })
  })
  return returned(checked('dry run', await http('POST', `${network.urls.cu}/dry-run?process-id=${process}`, body, 'application/json')))
}
const owner = createHash('sha256').update(ED25519.owner).digest('base64url')

/** The newest entry of a process's schedule: `{ id, slot }`. */
export async function newest (process) {
  const { message, assignment } = JSON.parse(must('latest', await http('GET', `${network.urls.su}/${process}/latest`), 200).text)
  return { id: message.id, slot: Number(assignment.tags.find(({ name }) => name === 'Nonce').value) }
}

/** The whole schedule of a process: `{ message, assignment }` of each slot. */
export async function schedule (process) {
  const nodes = []
  for (let after = '-1'; ;) {
    const url = `${network.urls.su}/${process}?process-id=${process}&from-nonce=${after}&limit=1000`
    const { edges, page_info: { has_next_page: hasNext } } = JSON.parse(must('schedule', await http('GET', url), 200).text)
    nodes.push(...edges.map(({ node }) => node))
    if (!hasNext) return nodes
    after = edges.at(-1).cursor
  }
}

/** One of the node's gauges. */
export async function gauge (name) {
  const { text } = must('metrics', await http('GET', `${network.urls.cu}/metrics`), 200)
  const line = text.split('\n').find((line) => line.startsWith(`${name} `))
  if (!line) throw new Error(`there is no metric ${name}`)
  return Number(line.split(' ')[1])
}

/** Resident memory of the whole network, MB. */
export const residentMB = async () => await gauge('pirn_resident_bytes') / 2 ** 20

/** The id of the module that was published from a file, or of Pirn's Lua. */
export const moduleId = (name) => {
  const id = name === 'lua' ? network.lua : network.modules[name]
  if (!id) throw new Error(`the network has no module ${name}`)
  return id
}
export const AOS = 'aos2_0_6.wasm'

/** Spawns a process and waits until it has booted. */
export async function spawn (signer, module, tags = {}) {
  const item = await dataItem(signer, {
    tags: { ...ao, Type: 'Process', Module: moduleId(module), Scheduler: network.addresses.su, SDK: 'aoconnect', Name: 'bench', Authority: network.authority, ...tags },
    data: '1984'
  })
  await toScheduler(item)
  await outcome(item.id, item.id)
  return item.id
}

export const spawnMany = async (n, signer, module) => {
  const processes = []
  for (let i = 0; i < n; i++) processes.push(await spawn(signer, module))
  return processes
}

/** Sends Lua to a process and waits for what it returned. Only the process's owner may do so. */
export async function evaluate (signer, process, lua) {
  const item = await script(signer, process, lua)
  await toScheduler(item)
  return returned(await outcome(process, item.id))
}

// Loads ---------------------------------------------------------------------------------------------------------------

/** Calls `work` for each of `items`, `width` at a time; answers how long each took, ms. */
export async function together (items, width, work) {
  const took = []
  let next = 0
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < items.length) {
      const item = items[next++]
      const start = now()
      await work(item)
      took.push(now() - start)
    }
  }))
  return took
}

/** Calls `work` again and again, `width` at a time, until `ms` have passed; answers how long each took, ms. */
export async function whileTime (ms, width, work) {
  const took = []
  const end = now() + ms
  await Promise.all(Array.from({ length: width }, async () => {
    while (now() < end) {
      const start = now()
      await work()
      took.push(now() - start)
    }
  }))
  return took
}

/**
 * Calls `work` for each of `items` at `rate` per second, whether those before have ended or not; answers how long each
 * took, ms, from the moment at which it was due. So a unit that stands still is not asked less.
 */
export async function atRate (items, rate, work) {
  const start = now()
  return await Promise.all(items.map(async (item, i) => {
    const due = start + i * 1000 / rate
    const early = due - now()
    if (early > 0) await sleep(early)
    await work(item)
    return now() - due
  }))
}

/** One of `processes` in turn for each of `n` messages, signed. */
export const spread = (signer, processes, n, lua = COUNT) =>
  Promise.all(Array.from({ length: n }, (_, i) => script(signer, processes[i % processes.length], lua)))

/** Through the messenger, and until the outcome is there. */
export const postToResult = async (item) => { await toMessenger(item); await outcome(item.target, item.id) }

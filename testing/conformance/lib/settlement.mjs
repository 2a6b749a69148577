// A node that settles on a network elsewhere, through gateways that fail in every way that gateways do, and is killed
// meanwhile. In the end everything must be there once.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataItem } from './items.mjs'
import { moduleTags } from './modules.mjs'
import { PIRN, startUnit } from './network.mjs'
import { until } from './until.mjs'
import { addressOf, wallet } from './wallets.mjs'
import { graphql } from './weave.mjs'

const MODULE = readFileSync(new URL('../../../crates/runtime/lua/pirn-lua.wasm', import.meta.url))
const ROLES = ['gateway', 'bundler', 'mu', 'su', 'cu']

/** Messages of a run. */
export const MESSAGES = 60
/** Signs and pays for bundles on the network. */
export const PAYER = wallet(3)
/** Signs what clients send. */
export const SENDER = wallet(0)

/** Paces of a test: what takes minutes on a real network takes moments here. */
export const PACES = {
  'settlement.interval_ms': 100,
  'settlement.bundle_age_ms': 400,
  'settlement.bundle_items_max': 30,
  'settlement.bundle_bytes_max': 700_000,
  'settlement.retry_ms': 100,
  'settlement.retry_max_ms': 1000,
  'settlement.confirm_interval_ms': 250,
  'settlement.depth': 30,
  'settlement.patience_ms': 4000,
  'settlement.read_patience_ms': 3000,
  'gateways.rest_ms': 100,
  'gateways.rest_ms_max': 1000,
  'gateways.timeout_ms': 2000,
  'limits.enabled': false,
  'ports.gateway': 0, 'ports.bundler': 0, 'ports.mu': 0, 'ports.su': 0, 'ports.cu': 0
}

/** A node with these options (over `PACES`), its state in `folder`, that can be killed and started again. */
export class Settler {
  constructor (folder, name, options) {
    Object.assign(this, { folder, state: join(folder, name.replaceAll(/\W+/g, '-')), options: { ...PACES, ...options } })
    /** What was handed in, `{ id, raw }`. */
    this.sent = []
  }

  async start () {
    this.node = await startUnit(ROLES, this.state, this.options, join(this.folder, 'node.log'))
  }

  async restart () {
    await this.node.kill()
    await this.start()
  }

  stop () { return this.node?.kill() }

  /** Hands an item to a unit; answers its id. */
  async post (url, draft) {
    const item = dataItem(SENDER, draft)
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })
    assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
    this.sent.push(item)
    return item.id
  }

  /** Publishes the module and spawns a process of it. */
  async spawn () {
    const module = await this.post(`${this.node.bundler}/tx`, { tags: moduleTags({ format: 'wasm32-unknown-emscripten4' }), data: MODULE })
    const { addresses, authority, su } = this.node
    this.process = await this.post(su, { tags: ao('Process', { Module: module, Scheduler: addresses.su, Authority: authority }) })
    return this.process
  }

  /** The `n`th message: every tenth is a long one. */
  message (n) {
    const data = `Count = (Count or 0) + 1 --[[${'x'.repeat(n % 10 === 0 ? 40_000 : 10)}]] return Count`
    return this.post(this.node.su, { target: this.process, tags: ao('Message', { Action: 'Eval' }), data })
  }

  /** How everything stands. */
  standing () { return json(`${this.node.mu}/api/v1/settlement`) }

  /** Items at that stage. */
  async at (stage) { return (await this.standing())[stage].items }

  async unsettled () {
    const metrics = await (await fetch(`${this.node.su}/metrics`)).text()
    return Number(metrics.match(/^pirn_su_unsettled (\d+)/m)[1])
  }

  /** Waits until `holds` how everything stands. */
  async until (what, holds, seconds = 60) {
    let now
    await until(what, async () => holds(now = await this.standing()), seconds)
      .catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(now)}`) })
  }

  async untilSettled () {
    await this.until('not everything is settled', (now) => ['waiting', 'signed', 'posted', 'seen'].every((stage) => now[stage].items === 0), 120)
    assert.equal(await this.unsettled(), 0)
  }

  /** The ids of everything that must be there: what was handed in, and its assignments. */
  async ids () {
    const { edges, page_info: page } = await json(`${this.node.su}/${this.process}?process-id=${this.process}&limit=1000`)
    assert.equal(page.has_next_page, false)
    assert.equal(edges.length, this.sent.length - 1, 'everything but the module has a slot')
    /** The module, then the schedule as it was made. */
    this.order = [this.sent[0].id, ...edges.flatMap(({ node }) => [node.message.id, node.assignment.id])]
    assert.deepEqual(this.sent.map(({ id }) => id).filter((id) => !this.order.includes(id)), [])
    return this.order
  }

  /** `pirn verify`, with the other weave for everything that is read; how many slots it found well. */
  verify (gateway) { return this.#verify('--gateway', gateway) }

  /** The same of items of which only the bytes are known, by their id. */
  verifyBytes (bytes) {
    const file = join(this.folder, 'process.bundle')
    writeFileSync(file, bundleOf(this.order.map((id) => [id, bytes.get(id)])))
    return this.#verify('--file', file, '--gateway', 'http://127.0.0.1:9')
  }

  async #verify (...where) {
    const { su, cu, mu } = this.node
    const args = ['verify', '--json', ...where, '--su', su, '--cu', cu, '--mu', mu, this.process]
    const env = { ...globalThis.process.env, XDG_STATE_HOME: join(this.folder, 'verify') }
    const { error, stdout, stderr } = await new Promise((resolve) => execFile(PIRN, args, { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => resolve({ error, stdout, stderr })))
    assert.ok(!error, `pirn verify ${this.process}: ${error?.code}\n${stdout}\n${stderr}`)
    return JSON.parse(stdout).slots
  }
}

/** Makes a block at a gateway every `ms` until `stop()`. */
export function mining (gateway, ms = 200) {
  const mine = setInterval(() => fetch(`${gateway}/mine`).catch(() => {}), ms)
  return { stop: () => clearInterval(mine) }
}

/**
 * Sends a process and messages to `settler`, which settles through `proxy` on `real`, with faults; it is killed twice. If
 * `isReplaced`, all blocks are for a while; if `isModuleFirst`, faults begin when the module is posted. Ends when everything is settled.
 */
export async function settleWithFaults (settler, { real, proxy, isReplaced, isModuleFirst, blockMs }) {
  await settler.start()
  await settler.spawn()
  if (isModuleFirst) await settler.until('the module is not posted', ({ waiting, signed }) => waiting.items + signed.items === 0)
  proxy.isOn = true
  for (let n = 0; n < MESSAGES; n++) {
    await settler.message(n)
    if (n === MESSAGES / 3 || n === 2 * MESSAGES / 3) await settler.restart()
  }
  assert.ok(await settler.unsettled() > 0 || await settler.at('posted') > 0, 'the network is not that fast')

  // Blocks go on; for a while those that there were are replaced, and then all is well again.
  const mine = mining(real.gateway, blockMs)
  try {
    if (isReplaced) {
      await settler.until('nothing is in a block', ({ seen }) => seen.items > 0)
      proxy.isReplaced = true
      await settler.until('nobody notices that blocks are replaced', ({ totals }) => totals.reorganised > 0)
    }
    proxy.isReplaced = false
    proxy.isOn = false
    await settler.untilSettled()
  } finally {
    mine.stop()
  }
}

/** Every id is known to the network, in a block, and once. */
export async function allThereOnce (real, ids) {
  for (let at = 0; at < ids.length; at += 50) {
    const some = ids.slice(at, at + 50)
    const { transactions } = await graphql(real, 'query ($ids: [ID!]) { transactions(ids: $ids, first: 100) { edges { node { id block { height } } } } }', { ids: some })
    const found = transactions.edges.filter(({ node }) => node.block).map(({ node }) => node.id)
    assert.deepEqual(found.sort(), [...some].sort())
  }
}

/** The bundles that the payer posted, `{ id, data }`. */
export async function bundles (real) {
  const { transactions } = await graphql(real, 'query ($owners: [String!]) { transactions(owners: $owners, tags: [{ name: "Bundle-Format", values: ["binary"] }], first: 100) { edges { node { id } } } }', { owners: [addressOf(PAYER)] })
  const ids = [...new Set(transactions.edges.map(({ node }) => node.id))]
  return Promise.all(ids.map(async (id) => ({ id, data: Buffer.from(await (await fetch(`${real.gateway}/${id}`)).arrayBuffer()) })))
}

/** The items of a bundle, their bytes by id. */
export function itemsOf (bundle) {
  const items = []
  const count = Number(bundle.readBigUInt64LE(0))
  let at = 32 + count * 64
  for (let i = 0; i < count; i++) {
    const size = Number(bundle.readBigUInt64LE(32 + i * 64))
    items.push([bundle.subarray(64 + i * 64, 96 + i * 64).toString('base64url'), bundle.subarray(at, at += size)])
  }
  assert.equal(at, bundle.length, 'the index of a bundle covers its bytes')
  return items
}

function bundleOf (items) {
  const number = (n) => { const bytes = Buffer.alloc(32); bytes.writeBigUInt64LE(BigInt(n)); return bytes }
  const index = items.flatMap(([id, raw]) => [number(raw.length), Buffer.from(id, 'base64url')])
  return Buffer.concat([number(items.length), ...index, ...items.map(([, raw]) => raw)])
}

/** No item was paid for twice, unless a transaction was refused for good; answers the bytes of each by id. */
export async function inOneBundleEach (posted, ids) {
  const places = new Map()
  for (const { data } of posted) {
    for (const [id, raw] of itemsOf(data)) places.set(id, [...places.get(id) ?? [], raw])
  }
  for (const id of ids) assert.equal(places.get(id)?.length, 1, `${id} is in ${places.get(id)?.length ?? 0} bundles`)
  return new Map([...places].map(([id, [raw]]) => [id, raw]))
}

/** The data of everything that was handed in is what the network gives. */
export async function dataIsThere (settler, real, route = '/raw/') {
  for (const { id, raw } of settler.sent) {
    const answer = await fetch(`${real.gateway}${route}${id}`)
    assert.ok(answer.ok, `${id}: ${answer.status}`)
    const data = Buffer.from(await answer.arrayBuffer())
    assert.ok(raw.subarray(raw.length - data.length).equals(data), `the data of ${id}`)
  }
}

export const ao = (type, tags) => Object.entries({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: type, ...tags }).map(([name, value]) => ({ name, value }))

export async function json (url) {
  const answer = await fetch(url)
  assert.ok(answer.ok, `${url}: ${answer.status}`)
  return answer.json()
}

// A node settles on the weave of another one, through a gateway that fails in every way that gateways do, and is killed
// meanwhile. In the end everything is there once, and the processes can be verified from there alone.
//
// SETTLEMENT_SEED decides what fails; the output says it.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataItem } from '../lib/items.mjs'
import { moduleTags } from '../lib/modules.mjs'
import { PIRN, startNetwork, startUnit } from '../lib/network.mjs'
import { randomFor } from '../lib/random.mjs'
import { until } from '../lib/until.mjs'
import { addressOf, wallet } from '../lib/wallets.mjs'
import { graphql } from '../lib/weave.mjs'
import { startProxy } from './proxy.mjs'

const SEED = Number(process.env.SETTLEMENT_SEED ?? Math.floor(Math.random() * 1e9))
const MODULE = readFileSync(new URL('../../../crates/runtime/lua/pirn-lua.wasm', import.meta.url))
const MESSAGES = 60
/** Signs and pays for bundles on the network. */
const PAYER = wallet(3)

/** Paces of a test: what takes minutes on a real network takes moments here. */
const PACES = {
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

const folder = mkdtempSync(join(tmpdir(), 'pirn-settlement-'))
const payer = join(folder, 'payer.json')
writeFileSync(payer, JSON.stringify(PAYER), { mode: 0o600 })
after(() => rmSync(folder, { recursive: true, force: true }))

for (const [name, how] of [
  ['bundles that a wallet pays for', (proxy) => ({ 'weave.gateway': proxy.url, 'weave.settlement_wallet': payer })],
  ['items to a bundler, one by one', (proxy) => ({ 'weave.gateway': proxy.url, 'weave.uploader': proxy.url })]
]) {
  test(name, { timeout: 300_000 }, async (t) => {
    t.diagnostic(`SETTLEMENT_SEED=${SEED} node --test`)
    const real = await startNetwork()
    const proxy = await startProxy(real.gateway, randomFor(`${SEED}`, name))
    const state = join(folder, name.replaceAll(/\W+/g, '-'))
    const options = { ...PACES, ...how(proxy) }
    const start = () => startUnit(['gateway', 'bundler', 'mu', 'su', 'cu'], state, options, join(folder, 'node.log'))
    let node
    try {
      node = await start()
      const sent = []
      const post = async (url, item) => {
        const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })
        assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
        sent.push(item)
        return item.id
      }
      const module = await post(`${node.bundler}/tx`, dataItem(wallet(0), { tags: moduleTags({ format: 'wasm32-unknown-emscripten4' }), data: MODULE }))
      const process = await post(node.su, dataItem(wallet(0), {
        tags: ao('Process', { Module: module, Scheduler: node.addresses.su, Authority: node.authority })
      }))
      proxy.isOn = true
      for (let n = 0; n < MESSAGES; n++) {
        const data = `Count = (Count or 0) + 1 --[[${'x'.repeat(n % 10 === 0 ? 40_000 : 10)}]] return Count`
        await post(node.su, dataItem(wallet(0), { target: process, tags: ao('Message', { Action: 'Eval' }), data }))
        if (n === MESSAGES / 3 || n === 2 * MESSAGES / 3) {
          await node.kill()
          node = await start()
        }
      }
      assert.ok(await unsettled(node) > 0 || await standing(node, 'posted') > 0, 'the network is not that fast')

      // Blocks go on; for a while those that there were are replaced, and then all is well again.
      const mine = setInterval(() => fetch(`${real.gateway}/mine`).catch(() => {}), 200)
      try {
        if ('weave.settlement_wallet' in options) {
          await until('nothing is in a block', async () => await standing(node, 'seen') > 0)
          proxy.isReplaced = true
          await until('nobody notices that blocks are replaced', async () => (await settlement(node)).totals.reorganised > 0)
        }
        proxy.isReplaced = false
        proxy.isOn = false
        await until('not everything is settled', async () => {
          const now = await settlement(node)
          return ['waiting', 'signed', 'posted', 'seen'].every((stage) => now[stage].items === 0)
        }, 120).catch(async (error) => { throw new Error(`${error.message}: ${JSON.stringify(await settlement(node))}`) })
      } finally {
        clearInterval(mine)
      }
      assert.equal(await unsettled(node), 0)

      const edges = await schedule(node.su, process)
      assert.equal(edges.length, MESSAGES + 1)
      const ids = [...new Set([...sent.map(({ id }) => id), ...edges.map(({ node }) => node.assignment.id)])]
      await allThereOnce(real, ids)
      for (const { id, raw } of sent) {
        const data = Buffer.from(await (await fetch(`${real.gateway}/raw/${id}`)).arrayBuffer())
        assert.ok(raw.subarray(raw.length - data.length).equals(data), `the data of ${id}`)
      }
      const now = await settlement(node)
      if (now.wallet) {
        assert.equal(now.wallet, addressOf(PAYER))
        await inOneBundleEach(real, ids, now.totals)
      }
      const slots = await verify(real, node, process)
      assert.equal(slots, MESSAGES + 1)
      t.diagnostic(`faults ${JSON.stringify(proxy.counts)}`)
      t.diagnostic(`${ids.length} items settled, ${slots} slots verified from there; ${JSON.stringify(now.totals)}`)
    } finally {
      await node?.kill()
      await proxy.stop()
      await real.stop()
    }
  })
}

test('an acknowledgement waits for the bundler where it is to mean that', { timeout: 120_000 }, async () => {
  const real = await startNetwork()
  const proxy = await startProxy(real.gateway, () => 0)
  let node
  try {
    node = await startUnit(['gateway', 'bundler', 'mu', 'su', 'cu'], join(folder, 'ack'), {
      ...PACES, 'weave.gateway': proxy.url, 'weave.uploader': proxy.url, 'su.ack': 'settled', 'su.ack_timeout_ms': 1500
    }, join(folder, 'ack.log'))
    const item = dataItem(wallet(0), { tags: ao('Process', { Module: 'A'.repeat(43), Scheduler: node.addresses.su }) })
    const post = () => fetch(node.su, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })
    // The first draw of the proxy is always "fails".
    proxy.isOn = true
    const late = await post()
    assert.equal(late.status, 503, await late.clone().text())
    assert.match(await late.text(), /has slot 0/)
    assert.ok(await unsettled(node) >= 1)
    proxy.isOn = false
    const placed = await post()
    assert.ok(placed.ok)
    const { transaction } = await graphql(real, 'query ($id: ID!) { transaction(id: $id) { id } }', { id: item.id })
    assert.equal(transaction.id, item.id)
    assert.equal(await unsettled(node), 0)
  } finally {
    await node?.kill()
    await proxy.stop()
    await real.stop()
  }
})

const ao = (type, tags) => Object.entries({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: type, ...tags }).map(([name, value]) => ({ name, value }))

const json = async (url) => {
  const answer = await fetch(url)
  assert.ok(answer.ok, `${url}: ${answer.status}`)
  return answer.json()
}

const settlement = (node) => json(`${node.mu}/api/v1/settlement`)
const standing = async (node, stage) => (await settlement(node))[stage].items

async function unsettled (node) {
  const metrics = await (await fetch(`${node.su}/metrics`)).text()
  return Number(metrics.match(/^pirn_su_unsettled (\d+)/m)[1])
}

async function schedule (su, process) {
  const { edges, page_info: page } = await json(`${su}/${process}?process-id=${process}&limit=1000`)
  assert.equal(page.has_next_page, false)
  return edges
}

/** Every id is known to the network, in a block, and once. */
async function allThereOnce (real, ids) {
  for (let at = 0; at < ids.length; at += 50) {
    const some = ids.slice(at, at + 50)
    const { transactions } = await graphql(real, 'query ($ids: [ID!]) { transactions(ids: $ids, first: 100) { edges { node { id block { height } } } } }', { ids: some })
    const found = transactions.edges.filter(({ node }) => node.block).map(({ node }) => node.id)
    assert.deepEqual(found.sort(), [...some].sort())
  }
}

/** No item was paid for twice, unless a transaction was refused for good. */
async function inOneBundleEach (real, ids, totals) {
  const { transactions } = await graphql(real, 'query ($owners: [String!]) { transactions(owners: $owners, tags: [{ name: "Bundle-Format", values: ["binary"] }], first: 100) { edges { node { id } } } }', { owners: [addressOf(PAYER)] })
  const places = new Map()
  for (const { node: { id } } of transactions.edges) {
    const bundle = Buffer.from(await (await fetch(`${real.gateway}/raw/${id}`)).arrayBuffer())
    for (let i = 0; i < Number(bundle.readBigUInt64LE(0)); i++) {
      const item = bundle.subarray(64 + i * 64, 96 + i * 64).toString('base64url')
      places.set(item, (places.get(item) ?? 0) + 1)
    }
  }
  assert.equal(transactions.edges.length, totals.transactions)
  for (const id of ids) assert.equal(places.get(id), 1, `${id} is in ${places.get(id)} bundles`)
}

/** `pirn verify`, with the other weave for everything that is read; how many slots it found well. */
async function verify (real, node, process) {
  const args = ['verify', '--json', '--gateway', real.gateway, '--su', node.su, '--cu', node.cu, '--mu', node.mu, process]
  const env = { ...globalThis.process.env, XDG_STATE_HOME: join(folder, 'verify') }
  const { error, stdout, stderr } = await new Promise((resolve) => execFile(PIRN, args, { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => resolve({ error, stdout, stderr })))
  assert.ok(!error, `pirn verify ${process}: ${error?.code}\n${stdout}\n${stderr}`)
  return JSON.parse(stdout).slots
}

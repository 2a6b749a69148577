// A node settles on the weave of another one, through gateways that fail in every way that gateways do, and is killed
// meanwhile. In the end everything is there once, and the processes can be verified from there alone.
//
// SETTLEMENT_SEED decides what fails; the output says it.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProxy } from '../lib/faulty-gateway.mjs'
import { dataItem } from '../lib/items.mjs'
import { startNetwork } from '../lib/network.mjs'
import { randomFor } from '../lib/random.mjs'
import {
  MESSAGES, PAYER, SENDER, Settler, allThereOnce, ao, bundles, dataIsThere, inOneBundleEach, mining, settleWithFaults
} from '../lib/settlement.mjs'
import { until } from '../lib/until.mjs'
import { addressOf } from '../lib/wallets.mjs'
import { graphql } from '../lib/weave.mjs'

const SEED = Number(process.env.SETTLEMENT_SEED ?? Math.floor(Math.random() * 1e9))

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
    const settler = new Settler(folder, name, how(proxy))
    try {
      await settleWithFaults(settler, { real, proxy, isReplaced: 'weave.settlement_wallet' in settler.options })
      const ids = await settler.ids()
      await allThereOnce(real, ids)
      await dataIsThere(settler, real)
      const { wallet, totals } = await settler.standing()
      if (wallet) {
        assert.equal(wallet, addressOf(PAYER))
        const posted = await bundles(real)
        await inOneBundleEach(posted, ids)
        assert.equal(posted.length, totals.transactions)
      }
      const slots = await settler.verify(real.gateway)
      assert.equal(slots, MESSAGES + 1)
      t.diagnostic(`faults ${JSON.stringify(proxy.counts)}`)
      t.diagnostic(`${ids.length} items settled, ${slots} slots verified from there; ${JSON.stringify(totals)}`)
    } finally {
      await settler.stop()
      await proxy.stop()
      await real.stop()
    }
  })
}

test('of two gateways one goes away for good, with everything that it took', { timeout: 300_000 }, async (t) => {
  // Two networks that know nothing of each other: the harshest that a gateway can do is to forget all of it.
  const [first, second] = await Promise.all([startNetwork(), startNetwork()])
  const settler = new Settler(folder, 'two gateways', {
    'weave.gateway': JSON.stringify([first.gateway, second.gateway]), 'weave.settlement_wallet': payer
  })
  const mines = []
  try {
    await settler.start()
    await settler.spawn()
    for (let n = 0; n < MESSAGES / 2; n++) await settler.message(n)
    await until('the first gateway took nothing', async () => (await bundles(first)).length > 0)
    mines.push(mining(second.gateway))
    await first.kill()
    for (let n = MESSAGES / 2; n < MESSAGES; n++) await settler.message(n)
    await settler.untilSettled()
    const ids = await settler.ids()
    await allThereOnce(second, ids)
    await dataIsThere(settler, second)
    await inOneBundleEach(await bundles(second), ids)
    assert.equal(await settler.verify(second.gateway), MESSAGES + 1)
    const { totals, gateways } = await settler.standing()
    assert.deepEqual(gateways.map(({ url }) => url), [first.gateway, second.gateway])
    assert.ok(gateways[0].failures > 0 && gateways[1].failures === 0, JSON.stringify(gateways))
    t.diagnostic(`${ids.length} items settled; ${JSON.stringify(totals)}`)
  } finally {
    mines.forEach((mine) => mine.stop())
    await settler.stop()
    await Promise.all([first, second].map((network) => network.kill()))
  }
})

test('an acknowledgement waits for the bundler where it is to mean that', { timeout: 120_000 }, async () => {
  const real = await startNetwork()
  const proxy = await startProxy(real.gateway, () => 0)
  const settler = new Settler(folder, 'ack', {
    'weave.gateway': proxy.url, 'weave.uploader': proxy.url, 'su.ack': 'settled', 'su.ack_timeout_ms': 1500
  })
  try {
    await settler.start()
    const { su, addresses } = settler.node
    const item = dataItem(SENDER, { tags: ao('Process', { Module: 'A'.repeat(43), Scheduler: addresses.su }) })
    const post = () => fetch(su, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })
    // The first draw of the proxy is always "fails".
    proxy.isOn = true
    const late = await post()
    assert.equal(late.status, 503, await late.clone().text())
    assert.match(await late.text(), /has slot 0/)
    assert.ok(await settler.unsettled() >= 1)
    proxy.isOn = false
    // What the bundler says next is not what it signed.
    proxy.isLying = true
    await until('nobody hears a lie', () => proxy.counts.lies > 0)
    const believed = await post()
    assert.equal(believed.status, 503, await believed.clone().text())
    assert.ok(await settler.unsettled() >= 1)
    const { problem } = await settler.standing()
    assert.match(problem, /no valid receipt for .*: its signature is not over what it says/)
    proxy.isLying = false
    const placed = await post()
    assert.ok(placed.ok)
    const { transaction } = await graphql(real, 'query ($id: ID!) { transaction(id: $id) { id } }', { id: item.id })
    assert.equal(transaction.id, item.id)
    assert.equal(await settler.unsettled(), 0)
  } finally {
    await settler.stop()
    await proxy.stop()
    await real.stop()
  }
})

// A node settles on arlocal as on the real network, through a gateway that fails in every way that gateways do, and is
// killed meanwhile.
//
// What arlocal cannot do, and how this test goes around it:
// * A transaction must name one of its last 50 blocks, and one that it has already is refused like any that is wrong. So
//   blocks do not come as fast as on our own weave, or what is sent again would have to be signed again.
// * It asks the owner of each item in a bundle for the price of the item, and drops the items of those who cannot pay,
//   without a word. So all owners are given winston.
// * It forgets the anchors of items, and assignments have one: nobody could verify them from what it tells of them by id.
//   So the items are verified as they stand in their bundles, which it gives byte for byte.
// * It orders chunks as they come, and waits for ever for those of a transaction of which one came twice. So they are sent
//   one after the other, before faults begin: only the module is larger than a chunk.
//
// SETTLEMENT_SEED decides what fails; the output says it.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProxy } from '../lib/faulty-gateway.mjs'
import { randomFor } from '../lib/random.mjs'
import {
  MESSAGES, PAYER, SENDER, Settler, allThereOnce, bundles, dataIsThere, inOneBundleEach, settleWithFaults
} from '../lib/settlement.mjs'
import { addressOf } from '../lib/wallets.mjs'
import { startArlocal } from './arlocal.mjs'

const { Bundle } = createRequire(import.meta.url)('arbundles')
const SEED = Number(process.env.SETTLEMENT_SEED ?? Math.floor(Math.random() * 1e9))

const folder = mkdtempSync(join(tmpdir(), 'pirn-arlocal-'))
const payer = join(folder, 'payer.json')
writeFileSync(payer, JSON.stringify(PAYER), { mode: 0o600 })
after(() => rmSync(folder, { recursive: true, force: true }))

test('a node settles on arlocal', { timeout: 300_000 }, async (t) => {
  t.diagnostic(`SETTLEMENT_SEED=${SEED} node --test`)
  const real = await startArlocal(join(folder, 'arlocal'))
  const proxy = await startProxy(real.gateway, randomFor(`${SEED}`, 'arlocal'))
  const settler = new Settler(folder, 'node', {
    'weave.gateway': proxy.url, 'weave.settlement_wallet': payer, 'settlement.concurrency': 1, 'settlement.bundle_bytes_max': 200_000, 'settlement.depth': 5
  })
  const fund = async (address) => {
    const answer = await fetch(`${real.gateway}/mint/${address}/1000000000000000`)
    assert.ok(answer.ok, `mint: ${answer.status}`)
  }
  try {
    await Promise.all([addressOf(PAYER), addressOf(SENDER)].map(fund))
    // The unit's own key is made at its first start.
    await settler.start()
    await fund(settler.node.addresses.su)
    await fund(settler.node.addresses.mu)
    await settler.stop()

    await settleWithFaults(settler, { real, proxy, isReplaced: true, isModuleFirst: true, blockMs: 1000 })
    const ids = await settler.ids()
    await allThereOnce(real, ids)
    await dataIsThere(settler, real, '/')
    const posted = await bundles(real)
    const bytes = await inOneBundleEach(posted, ids)
    for (const { id, raw } of settler.sent) assert.ok(raw.equals(bytes.get(id)), `the bytes of ${id}`)
    for (const { id, data } of posted) assert.ok(await new Bundle(data).verify(), `the bundle ${id}`)
    const slots = await settler.verifyBytes(bytes)
    assert.equal(slots, MESSAGES + 1)
    t.diagnostic(`faults ${JSON.stringify(proxy.counts)}`)
    t.diagnostic(`${ids.length} items settled, ${slots} slots verified from there; ${JSON.stringify((await settler.standing()).totals)}`)
  } finally {
    await settler.stop()
    await proxy.stop()
    await real.stop()
  }
})

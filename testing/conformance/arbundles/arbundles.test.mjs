// What arbundles makes, the bundler takes, the gateway gives back byte for byte, and arbundles verifies.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import Arweave from 'arweave'
import * as arbundles from '@dha-team/arbundles'
import { startNetwork } from '../lib/network.mjs'
import { wallet } from '../lib/wallets.mjs'
import { until } from '../lib/until.mjs'
import { connect, graphql } from '../lib/weave.mjs'

const { ArweaveSigner, EthereumSigner, SolanaSigner, TypedEthereumSigner, DataItem, bundleAndSignData, createData } =
  arbundles.default ?? arbundles

let network, arweave
before(async () => { network = await startNetwork(); arweave = connect(Arweave, network) })
after(() => network.stop())

const secret = createHash('sha256').update('a throw-away key').digest('hex')
// An Ed25519 pair as Solana writes it, in base58: 32 zero bytes of seed.
const solana = '111111111111111111111111111111114zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS'
const signers = {
  Arweave: () => new ArweaveSigner(wallet(0)),
  Ethereum: () => new EthereumSigner(secret),
  'typed Ethereum': () => new TypedEthereumSigner(secret),
  Solana: () => new SolanaSigner(solana)
}

const upload = (path, raw) => fetch(`${network.bundler}${path}`, {
  method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: raw
})
const read = async (id) => {
  const response = await fetch(`${network.gateway}/raw/${id}`)
  return { status: response.status, data: Buffer.from(await response.arrayBuffer()) }
}
const node = async (id) => (await graphql(network, `query ($id: ID!) { transaction(id: $id) {
  id anchor signature recipient owner { address key } tags { name value } data { size type } block { height } bundledIn { id } } }`,
{ id })).transaction

async function make (signer, data, options = {}) {
  const item = createData(data, signer, { tags: [{ name: 'Suite', value: 'arbundles' }], ...options })
  await item.sign(signer)
  return item
}

describe('an item of every kind of key', () => {
  for (const [kind, signer] of Object.entries(signers)) {
    test(kind, async () => {
      const data = `signed by ${kind}`
      const item = await make(signer(), data, { target: 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI', anchor: '0'.repeat(31) + '7' })
      const response = await upload('/tx', item.getRaw())
      assert.equal(response.status, 200, await response.clone().text())
      assert.equal((await response.json()).id, item.id)
      assert.deepEqual(await read(item.id), { status: 200, data: Buffer.from(data) })
      const found = await node(item.id)
      assert.equal(found.owner.key, item.owner)
      assert.equal(found.signature, item.signature)
      assert.equal(found.recipient, item.target)
      assert.equal(Buffer.from(found.anchor, 'base64url').toString(), '0'.repeat(31) + '7')
      assert.deepEqual(found.tags, item.tags)
      await until('it is in a bundle in a block', async () => (await node(item.id)).block)
    })
  }
})

test('a bundle of the weave itself is one that arbundles can read and verify', async () => {
  const item = await make(signers.Ethereum(), 'one of a bundle')
  await upload('/tx', item.getRaw())
  const { bundledIn } = await until('it is bundled', async () => { const found = await node(item.id); return found.bundledIn && found })
  const tx = await arweave.transactions.get(bundledIn.id)
  assert.ok(await arweave.transactions.verify(tx))
  const data = Buffer.from(await arweave.transactions.getData(bundledIn.id, { decode: true }))
  const bundle = (arbundles.default ?? arbundles).unbundleData(data)
  assert.ok(await bundle.verify())
  assert.ok(bundle.getIds().includes(item.id))
})

test('a posted bundle is unpacked, and what is forged in it is left out', async () => {
  const signer = signers.Ethereum()
  const items = [await make(signer, 'first'), await make(signer, 'second'), await make(signer, 'third')]
  const bundle = await bundleAndSignData(items, signer)
  const raw = Buffer.from(bundle.getRaw())
  // The last byte of the last item's data: its id stays, its signature does not hold.
  raw[raw.length - 1] ^= 1
  const tx = await arweave.createTransaction({ data: raw }, wallet(0))
  tx.addTag('Bundle-Format', 'binary')
  tx.addTag('Bundle-Version', '2.0.0')
  await arweave.transactions.sign(tx, wallet(0))
  assert.equal((await arweave.transactions.post(tx)).status, 200)
  assert.deepEqual(await read(items[0].id), { status: 200, data: Buffer.from('first') })
  assert.deepEqual(await read(items[1].id), { status: 200, data: Buffer.from('second') })
  assert.equal((await read(items[2].id)).status, 404)
  assert.equal(await node(items[2].id), null)
  assert.equal((await node(items[0].id)).bundledIn.id, tx.id)
})

test('a forged item and one with a changed data are refused', async () => {
  const item = await make(signers.Arweave(), 'honest')
  const raw = Buffer.from(item.getRaw())
  raw[raw.length - 1] ^= 1
  assert.equal(await DataItem.verify(raw), false)
  const response = await upload('/tx', raw)
  assert.equal(response.status, 400)
  assert.match((await response.json()).error, /signature/)
  assert.equal((await read(item.id)).status, 404)
})

test('every path of a bundler takes the same item, and its receipt stays the same', async () => {
  const item = await make(signers.Solana(), 'again and again')
  const receipts = new Set()
  for (const path of ['/tx', '/tx/arweave', '/v1/tx', '/v1/tx/solana']) {
    const response = await upload(path, item.getRaw())
    assert.equal(response.status, 200)
    receipts.add(await response.text())
  }
  assert.equal(receipts.size, 1)
})

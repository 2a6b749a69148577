// What arbundles or a fork of it makes, the bundler takes, the gateway gives back byte for byte, and the package
// verifies.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { MODULES, moduleBytes, moduleTags } from './modules.mjs'
import { startNetwork } from './network.mjs'
import { wallet } from './wallets.mjs'
import { until } from './until.mjs'
import { connect, graphql } from './weave.mjs'

/** The tests, for a package with the interface of arbundles, and the arweave-js that stands beside it. */
export function suite (arbundles, Arweave) {
  const {
    ArweaveSigner, EthereumSigner, SolanaSigner, TypedEthereumSigner, DataItem, bundleAndSignData, createData, unbundleData
  } = arbundles

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
    const bundle = unbundleData(data)
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

  test('a module is published as an item, and read back', async () => {
    const module = moduleBytes(MODULES['aos 2.0.6 (64-bit)'])
    const tags = moduleTags(MODULES['aos 2.0.6 (64-bit)'])
    const item = await make(signers.Arweave(), module, { tags })
    const response = await upload('/tx', item.getRaw())
    assert.equal(response.status, 200, await response.clone().text())
    const { status, data } = await read(item.id)
    assert.equal(status, 200)
    assert.ok(data.equals(module), 'the same bytes')
    const found = await node(item.id)
    assert.equal(Number(found.data.size), module.length)
    assert.deepEqual(found.tags, tags)
  })
}

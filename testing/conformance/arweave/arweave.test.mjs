// arweave-js does with the embedded weave what it does with Arweave.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import Arweave from 'arweave'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { until } from '../lib/until.mjs'
import { connect, graphql } from '../lib/weave.mjs'

let network, arweave
const ada = wallet(0)
const ben = wallet(1)

before(async () => { network = await startNetwork(); arweave = connect(Arweave, network) })
after(() => network.stop())

const bytes = (size) => createHash('shake256', { outputLength: size }).update('data').digest()
const confirmed = (id) => until(`${id} is in a block`, async () => (await arweave.transactions.getStatus(id)).confirmed)

async function post (fields, jwk = ada, change = () => {}) {
  const tx = await arweave.createTransaction(fields, jwk)
  change(tx)
  await arweave.transactions.sign(tx, jwk)
  return { tx, answer: await arweave.transactions.post(tx) }
}

test('the network says what it is', async () => {
  const info = await arweave.network.getInfo()
  assert.equal(typeof info.height, 'number')
  assert.equal(info.blocks, info.height + 1)
  assert.match(info.current, /^[\w-]{64}$/)
  assert.ok(Array.isArray(await arweave.network.getPeers()))
  const block = await arweave.blocks.getCurrent()
  assert.equal(block.indep_hash, (await arweave.blocks.get(block.indep_hash)).indep_hash)
})

test('a wallet has what it was given, and its address is that of its key', async () => {
  assert.equal(await arweave.wallets.jwkToAddress(ada), addressOf(ada))
  const fresh = await arweave.wallets.jwkToAddress(await arweave.wallets.generate())
  assert.equal(await arweave.wallets.getBalance(fresh), '0')
  assert.equal(await arweave.wallets.getLastTransactionID(fresh), '')
  await arweave.api.get(`mint/${fresh}/12345`)
  assert.equal(await arweave.wallets.getBalance(fresh), '12345')
})

describe('data comes back as it was, of any size', () => {
  // One chunk within the transaction; several by themselves; sizes around where the last two are balanced.
  for (const size of [1, 262_143, 262_144, 262_145, 700_000, 786_432, 3_000_001]) {
    test(`${size} bytes`, async () => {
      const data = bytes(size)
      const tx = await arweave.createTransaction({ data }, ada)
      tx.addTag('Content-Type', 'application/octet-stream')
      await arweave.transactions.sign(tx, ada)
      const uploader = await arweave.transactions.getUploader(tx)
      while (!uploader.isComplete) {
        await uploader.uploadChunk()
        assert.equal(uploader.lastResponseStatus, 200, JSON.stringify(uploader.lastResponseError))
      }
      await confirmed(tx.id)
      const read = await arweave.transactions.getData(tx.id, { decode: true })
      assert.ok(Buffer.from(read).equals(data))
      const chunked = await arweave.chunks.downloadChunkedData(tx.id)
      assert.ok(Buffer.from(chunked).equals(data), 'chunk by chunk')
      const served = await fetch(`${network.gateway}/${tx.id}`)
      assert.ok(Buffer.from(await served.arrayBuffer()).equals(data), 'by the gateway')
      const known = await arweave.transactions.get(tx.id)
      assert.equal(known.data_root, tx.data_root)
      assert.ok(await arweave.transactions.verify(known))
    })
  }
  test('zeros', async () => {
    const data = Buffer.alloc(786_432)
    const { tx, answer } = await post({ data })
    assert.equal(answer.status, 200)
    await confirmed(tx.id)
    assert.ok(Buffer.from(await arweave.transactions.getData(tx.id, { decode: true })).equals(data))
  })
  test('text', async () => {
    const { tx } = await post({ data: '<h1>hello ✓</h1>' }, ada, (tx) => tx.addTag('Content-Type', 'text/html'))
    await confirmed(tx.id)
    assert.equal(await arweave.transactions.getData(tx.id, { decode: true, string: true }), '<h1>hello ✓</h1>')
    const served = await fetch(`${network.gateway}/${tx.id}`)
    assert.match(served.headers.get('content-type'), /^text\/html/)
  })
})

test('an interrupted upload goes on where it stopped', async () => {
  const data = bytes(900_000)
  const tx = await arweave.createTransaction({ data }, ada)
  await arweave.transactions.sign(tx, ada)
  let uploader = await arweave.transactions.getUploader(tx)
  await uploader.uploadChunk()
  await uploader.uploadChunk()
  const saved = JSON.parse(JSON.stringify(uploader))
  uploader = await arweave.transactions.getUploader(saved, data)
  while (!uploader.isComplete) await uploader.uploadChunk()
  await confirmed(tx.id)
  assert.ok(Buffer.from(await arweave.transactions.getData(tx.id, { decode: true })).equals(data))
})

test('a transfer moves winston, to the last one', async () => {
  const address = addressOf(ben)
  const before = [await arweave.wallets.getBalance(addressOf(ada)), await arweave.wallets.getBalance(address)].map(BigInt)
  const quantity = 1_000_000_000_001n
  const { tx, answer } = await post({ target: address, quantity: String(quantity) })
  assert.equal(answer.status, 200)
  await confirmed(tx.id)
  const now = [await arweave.wallets.getBalance(addressOf(ada)), await arweave.wallets.getBalance(address)].map(BigInt)
  assert.equal(now[1], before[1] + quantity)
  assert.equal(now[0], before[0] - quantity - BigInt(tx.reward))
  assert.equal(await arweave.wallets.getLastTransactionID(addressOf(ada)), tx.id)
})

describe('what is wrong is refused', () => {
  const refused = async (why, fields, change, jwk) => {
    const { tx, answer } = await post(fields, jwk, change)
    assert.equal(answer.status, 400, why)
    assert.equal((await arweave.transactions.getStatus(tx.id)).status, 404)
    return answer.data.error
  }
  test('a reward of nothing', async () => {
    assert.match(await refused('reward', { data: 'x' }, (tx) => { tx.reward = '0' }), /^Transaction verification failed/)
  })
  test('an anchor that is no block', async () => {
    const said = await refused('anchor', { data: 'x' }, (tx) => { tx.last_tx = Buffer.alloc(48, 1).toString('base64url') })
    assert.match(said, /^Invalid anchor/)
  })
  test('more than there is', async () => {
    await refused('quantity', { target: addressOf(ben), quantity: '999999999999999999999999' })
  })
  test('a wallet without winston', async () => {
    await refused('balance', { data: 'x' }, () => {}, await arweave.wallets.generate())
  })
  test('tags of more than 2048 bytes', async () => {
    await refused('tags', { data: 'x' }, (tx) => tx.addTag('Long', 'x'.repeat(2048)))
  })
  test('data that was not signed', async () => {
    const tx = await arweave.createTransaction({ data: 'honest' }, ada)
    await arweave.transactions.sign(tx, ada)
    const answer = await arweave.api.post('tx', { ...tx.toJSON(), data: Buffer.from('forged').toString('base64url') })
    assert.equal(answer.status, 400)
  })
  test('a chunk that is not the one that was announced', async () => {
    const tx = await arweave.createTransaction({ data: bytes(600_000) }, ada)
    await arweave.transactions.sign(tx, ada)
    await arweave.api.post('tx', { ...tx.toJSON(), data: '' })
    const chunk = tx.getChunk(0, bytes(600_000))
    const forged = { ...chunk, chunk: Buffer.alloc(262_144, 7).toString('base64url') }
    const answer = await arweave.api.post('chunk', forged)
    assert.deepEqual([answer.status, answer.data.error], [400, 'invalid_proof'])
    assert.equal((await arweave.api.post('chunk', chunk)).status, 200)
  })
})

test('what was posted is found by its tags, at once and in a block', async () => {
  const { tx } = await post({ data: 'found' }, ada, (tx) => { tx.addTag('Suite', 'find'); tx.addTag('Suite', 'twice') })
  const find = async (value) => (await graphql(network, `query ($value: String!) {
    transactions(tags: [{ name: "Suite", values: [$value] }]) { edges { node { id block { height } owner { address } } } } }`,
  { value })).transactions.edges.map(({ node }) => node)
  for (const value of ['find', 'twice']) {
    const [found] = await find(value)
    assert.equal(found.id, tx.id)
    assert.equal(found.owner.address, addressOf(ada))
  }
  await confirmed(tx.id)
  assert.equal(typeof (await find('find'))[0].block.height, 'number')
})

test('the same transaction twice is the same transaction', async () => {
  const { tx } = await post({ data: 'once' })
  // As far as arweave-js is concerned it is posted; the node said 208.
  assert.equal((await arweave.transactions.post(tx)).status, 200)
  assert.equal((await arweave.api.post('tx', tx)).status, 208)
})

describe('a chain that is reorganised', () => {
  const control = async (path, body = {}) => {
    const response = await fetch(`${network.gateway}/api/v1/dev/${path}`, {
      method: path === 'mining' ? 'PUT' : 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body)
    })
    assert.equal(response.status, 200, await response.clone().text())
    return response.json()
  }
  before(() => control('mining', { mode: 'manual' }))
  after(() => control('mining', { mode: 'auto' }))

  test('a transaction waits again, and is in another block', async () => {
    const { tx } = await post({ data: 'twice mined' })
    await control('mining/mine')
    const first = await arweave.transactions.getStatus(tx.id)
    assert.equal(first.confirmed.number_of_confirmations, 1)
    const { orphaned, dropped } = await control('reorganise', { blocks: 1 })
    assert.deepEqual([orphaned, dropped], [[first.confirmed.block_indep_hash], []])
    assert.equal((await arweave.transactions.getStatus(tx.id)).status, 202)
    await assert.rejects(arweave.blocks.get(orphaned[0]))
    await control('mining/mine')
    const { confirmed } = await arweave.transactions.getStatus(tx.id)
    assert.notEqual(confirmed.block_indep_hash, first.confirmed.block_indep_hash)
    assert.equal(confirmed.block_height, first.confirmed.block_height + 2)
    assert.equal(await arweave.transactions.getData(tx.id, { decode: true, string: true }), 'twice mined')
  })
  test('a transaction for a block that is gone is gone', async () => {
    await control('mining/mine')
    const { indep_hash: anchor } = await arweave.blocks.getCurrent()
    const { tx, answer } = await post({ data: 'for a block' }, ada, (tx) => { tx.last_tx = anchor })
    assert.equal(answer.status, 200)
    assert.deepEqual((await control('reorganise', { blocks: 1 })).dropped, [tx.id])
    assert.equal((await arweave.transactions.getStatus(tx.id)).status, 404)
    const again = await arweave.transactions.post(tx)
    assert.match(again.data.error ?? again.data, /^Invalid anchor/)
  })
})

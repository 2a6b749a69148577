// wao's helpers for Arweave and GraphQL, as they are, against the embedded weave in the place of arlocal.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { AR, GQL } from 'wao'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'

let network, ar, gql
before(async () => {
  network = await startNetwork(['--mine', 'manual'])
  const { port } = new URL(network.gateway)
  ar = await new AR({ host: 'localhost', port: Number(port) }).init(wallet(0))
  gql = new GQL({ url: `${network.gateway}/graphql` })
})
after(() => network.stop())

describe('AR', () => {
  test('knows its wallet', async () => {
    assert.equal(ar.addr, addressOf(wallet(0)))
    assert.ok(Number(await ar.balance()) > 0)
  })
  test('makes a wallet with money', async () => {
    const { addr, bal } = await ar.gen('10', false)
    assert.equal(Number(bal), 10)
    assert.equal(Number(await ar.balance(addr)), 10)
  })
  test('transfers', async () => {
    const { addr } = await ar.gen('1', false)
    const { err } = await ar.transfer('0.5', addr)
    assert.equal(err, null)
    assert.equal(Number(await ar.balance(addr)), 1.5)
  })
  test('posts data and reads it', async () => {
    const { id, err } = await ar.post({ data: 'posted', tags: { Suite: 'wao', Kind: 'post' } })
    assert.equal(err, null)
    assert.equal(await ar.data(id, true), 'posted')
    const tx = await ar.tx(id)
    assert.equal(tx.owner.address, ar.addr)
    assert.equal(typeof tx.block.height, 'number')
  })
  test('posts more data than a chunk has', async () => {
    const data = 'x'.repeat(700_000)
    const { id, err } = await ar.post({ data })
    assert.equal(err, null)
    assert.equal(await ar.data(id, true), data)
  })
  test('posts a bundle, whose items can be read', async () => {
    const { err, id, items } = await ar.bundle([['one', { A: '1' }], ['two', { A: '2' }]])
    assert.ok(!err)
    for (const [n, item] of items.entries()) {
      assert.equal(await ar.data(item.id, true), ['one', 'two'][n])
      assert.equal((await ar.tx(item.id)).bundledIn.id, id)
    }
  })
})

describe('GQL', () => {
  const posted = []
  before(async () => {
    for (const kind of ['a', 'b', 'c', 'd']) posted.push((await ar.post({ data: kind, tags: { Suite: 'gql', Kind: kind } })).id)
  })
  const ids = (found) => found.map(({ id }) => id)
  const tags = { Suite: 'gql' }

  test('by tags, either way round', async () => {
    assert.deepEqual(ids(await gql.txs({ tags, asc: true })), posted)
    assert.deepEqual(ids(await gql.txs({ tags })), posted.toReversed())
    assert.deepEqual(ids(await gql.txs({ tags: { Suite: 'gql', Kind: ['b', 'd'] }, asc: true })), [posted[1], posted[3]])
  })
  test('page by page', async () => {
    const first = await gql.txs({ tags, asc: true, first: 3, next: true })
    assert.deepEqual(ids(first.data), posted.slice(0, 3))
    const second = await first.next()
    assert.deepEqual(ids(second.data), posted.slice(3))
    assert.equal(second.next, null)
  })
  test('by id, owner and block', async () => {
    const [tx] = await gql.txs({ id: posted[2] })
    assert.equal(tx.data.size, '1')
    assert.deepEqual(ids(await gql.txs({ tags, block: tx.block.height })), [posted[2]])
    assert.deepEqual(ids(await gql.txs({ tags, block: [tx.block.height], asc: true })), posted.slice(2))
    assert.equal((await gql.txs({ tags, owner: ar.addr })).length, 4)
    assert.deepEqual(await gql.txs({ tags, owner: addressOf(wallet(5)) }), [])
  })
  test('only the fields that are asked for', async () => {
    assert.deepEqual(await gql.txs({ id: posted[0], fields: ['id', { owner: ['address'] }] }), [
      { cursor: (await gql.txs({ id: posted[0] }))[0].cursor, id: posted[0], owner: { address: ar.addr } }
    ])
  })
  test('blocks', async () => {
    const [tx] = await gql.txs({ id: posted[0] })
    const [block] = await gql.blocks({ height: tx.block.height })
    assert.equal(block.id, tx.block.id)
    const blocks = await gql.blocks({ height: [0, 2], asc: true })
    assert.deepEqual(blocks.map(({ height }) => height), [0, 1, 2])
    assert.equal(blocks[1].previous, blocks[0].id)
  })
})

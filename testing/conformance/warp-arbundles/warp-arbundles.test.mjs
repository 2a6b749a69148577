// Items that warp-arbundles makes are taken, given back byte for byte, and verify.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as warp from 'warp-arbundles'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { graphql } from '../lib/weave.mjs'

const { ArweaveSigner, DataItem, createData } = warp.default ?? warp

let network
before(async () => { network = await startNetwork() })
after(() => network.stop())

const signer = new ArweaveSigner(wallet(0))
const upload = (raw) => fetch(`${network.bundler}/tx/arweave`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: raw })

async function make (data, options = {}) {
  const item = createData(data, signer, options)
  await item.sign(signer)
  return item
}

/** The item once more, out of what GraphQL and the gateway tell of it. */
async function rebuilt (id) {
  const { transaction } = await graphql(network, `query ($id: ID!) { transaction(id: $id) {
    anchor signature recipient owner { key } tags { name value } signatureType } }`, { id })
  const data = Buffer.from(await (await fetch(`${network.gateway}/raw/${id}`)).arrayBuffer())
  const { tags, recipient, anchor } = transaction
  const target = recipient || undefined
  const item = createData(data, signer, { tags, target, anchor: anchor ? Buffer.from(anchor, 'base64url').toString() : undefined })
  assert.equal(transaction.signatureType, 1)
  assert.equal(transaction.owner.key, wallet(0).n)
  await item.setSignature(Buffer.from(transaction.signature, 'base64url'))
  return item
}

describe('an item comes back as it was', () => {
  const cases = {
    'text with tags': ['hello ✓', { tags: [{ name: 'Content-Type', value: 'text/plain' }, { name: 'Twice', value: '1' }, { name: 'Twice', value: '2' }] }],
    'a target and an anchor': ['to somebody', { target: addressOf(wallet(1)), anchor: 'a'.repeat(32) }],
    bytes: [new Uint8Array(300_000).fill(7), {}],
    'as many tags as there may be': ['tags', { tags: Array.from({ length: 128 }, (_, n) => ({ name: `n${n}`, value: `v${n}` })) }]
  }
  for (const [name, [data, options]] of Object.entries(cases)) {
    test(name, async () => {
      const item = await make(data, options)
      const response = await upload(item.getRaw())
      assert.equal(response.status, 200, await response.clone().text())
      const id = await item.id
      assert.equal((await response.json()).id, id)
      const again = await rebuilt(id)
      assert.ok(Buffer.from(again.getRaw()).equals(Buffer.from(item.getRaw())), 'byte for byte')
      assert.ok(await DataItem.verify(again.getRaw()))
    })
  }
})

test('what it does not verify is refused', async () => {
  const item = await make('honest')
  const raw = Buffer.from(item.getRaw())
  raw[raw.length - 1] ^= 1
  assert.equal(await DataItem.verify(raw), false)
  const response = await upload(raw)
  assert.equal(response.status, 400)
})

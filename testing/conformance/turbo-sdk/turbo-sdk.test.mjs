// @ardrive/turbo-sdk uploads to the bundler as to Turbo: what is small at once, what is large in parts.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { constants, createHash, createPublicKey, verify } from 'node:crypto'
import { Readable } from 'node:stream'
import { ArweaveSigner, EthereumSigner, TurboFactory } from '@ardrive/turbo-sdk/node'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { deepHash } from '../lib/items.mjs'
import { until } from '../lib/until.mjs'
import { graphql } from '../lib/weave.mjs'

let network, services
const ada = wallet(0)
const bytes = (size) => createHash('shake256', { outputLength: size }).update('turbo').digest()

before(async () => {
  network = await startNetwork()
  services = { paymentServiceConfig: { url: network.bundler }, uploadServiceConfig: { url: network.bundler }, gatewayUrl: network.gateway }
})
after(() => network.stop())

const turbo = (signer = new ArweaveSigner(ada)) => TurboFactory.authenticated({ signer, ...services })
const ask = async (path) => { const response = await fetch(`${network.bundler}${path}`); return { status: response.status, said: await response.json() } }
const raw = async (id) => Buffer.from(await (await fetch(`${network.gateway}/raw/${id}`)).arrayBuffer())

function checkReceipt (receipt) {
  const { id, timestamp, version, deadlineHeight } = receipt
  const message = deepHash(['Bundlr', version, id, String(deadlineHeight), String(timestamp)])
  const key = createPublicKey({ key: { kty: 'RSA', e: 'AQAB', n: receipt.public }, format: 'jwk' })
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 }
  assert.ok(verify('sha256', message, { key, ...padding }, Buffer.from(receipt.signature, 'base64url')), 'the receipt is signed')
  assert.equal(receipt.owner, createHash('sha256').update(Buffer.from(receipt.public, 'base64url')).digest('base64url'))
}

describe('a small item', () => {
  const signers = { Arweave: () => new ArweaveSigner(ada), Ethereum: () => new EthereumSigner('11'.repeat(32)) }
  for (const [kind, signer] of Object.entries(signers)) {
    test(`signed by a key of ${kind}`, async () => {
      const tags = [{ name: 'Content-Type', value: 'text/plain' }, { name: 'Suite', value: 'turbo' }]
      const answer = await turbo(signer()).upload({ data: 'hello', dataItemOpts: { tags } })
      assert.match(answer.id, /^[\w-]{43}$/)
      assert.equal(answer.winc, '0')
      assert.equal((await raw(answer.id)).toString(), 'hello')
      const response = await fetch(`${network.gateway}/${answer.id}`)
      assert.match(response.headers.get('content-type'), /^text\/plain/)
      checkReceipt(answer)
    })
  }
  test('as a file', async () => {
    const data = bytes(200_000)
    const answer = await turbo().uploadFile({ fileStreamFactory: () => Readable.from([data]), fileSizeFactory: () => data.length })
    assert.ok((await raw(answer.id)).equals(data))
  })
  test('that was signed before', async () => {
    const signed = await turbo().signer.signDataItem({ fileStreamFactory: () => Readable.from([Buffer.from('signed')]), fileSizeFactory: () => 6 })
    const unauthenticated = TurboFactory.unauthenticated(services)
    const once = await unauthenticated.uploadSignedDataItem(signed)
    assert.equal((await raw(once.id)).toString(), 'signed')
  })
})

describe('an item in parts', () => {
  // Two parts and a bit: more than the SDK sends at once.
  const large = bytes(12 << 20)
  test('is one item, with a receipt', async () => {
    const answer = await turbo().uploadFile({
      fileStreamFactory: () => Readable.from([large]),
      fileSizeFactory: () => large.length,
      dataItemOpts: { tags: [{ name: 'Suite', value: 'parts' }] }
    })
    checkReceipt(answer)
    assert.ok((await raw(answer.id)).equals(large))
    const { transactions } = await graphql(network, '{ transactions(tags: [{ name: "Suite", values: ["parts"] }]) { edges { node { id data { size } owner { address } } } } }')
    assert.deepEqual(transactions.edges.map(({ node }) => node), [{ id: answer.id, data: { size: String(large.length) }, owner: { address: addressOf(ada) } }])
  })
  test('may be as small as one likes', async () => {
    const data = bytes(1000)
    const answer = await turbo().uploadFile({
      fileStreamFactory: () => Readable.from([data]), fileSizeFactory: () => data.length, chunkingMode: 'force', maxChunkConcurrency: 1
    })
    checkReceipt(answer)
    assert.ok((await raw(answer.id)).equals(data))
  })
})

test('a folder is a manifest, whose paths lead to its files', async () => {
  const folder = new URL('../lib', import.meta.url).pathname
  const answer = await turbo().uploadFolder({ folderPath: folder, dataItemOpts: { tags: [] }, manifestOptions: { indexFile: 'until.mjs' } })
  assert.deepEqual(answer.errors ?? [], [])
  const at = `${network.gateway}/${answer.manifestResponse.id}`
  const read = async (path) => (await fetch(`${at}${path}`)).text()
  assert.match(await read('/weave.mjs'), /The embedded weave as arweave-js sees it/)
  const index = await read('')
  assert.equal(await read('/until.mjs'), index)
  assert.equal(await read('/nothing.mjs'), index, 'its fallback is the index')
})

test('the bundler tells what became of an item', async () => {
  const { id } = await turbo().upload({ data: 'whither' })
  const status = async () => (await ask(`/v1/tx/${id}/status`)).said
  assert.ok(['CONFIRMED', 'FINALIZED'].includes((await status()).status))
  await until(`${id} is permanent`, async () => (await status()).info === 'permanent')
  const { said: offsets } = await ask(`/v1/tx/${id}/offsets`)
  const bundle = await raw(offsets.rootBundleId)
  const start = offsets.startOffsetInRootBundle + offsets.payloadDataStart
  assert.equal(bundle.subarray(start, start + offsets.payloadContentLength).toString(), 'whither')
  assert.equal((await fetch(`${network.bundler}/v1/tx/${'A'.repeat(43)}/status`)).status, 404)
})

test('nothing costs anything', async () => {
  const [{ winc }] = await TurboFactory.unauthenticated(services).getUploadCosts({ bytes: [1000] })
  assert.equal(winc, '0')
  const balance = await turbo().getBalance()
  assert.ok(BigInt(balance.winc) > 0n)
})

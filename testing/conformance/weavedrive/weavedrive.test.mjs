// aos 2.0.6 with WeaveDrive reads the weave as files: what is admitted, by whose word, and what it costs in bytes.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { startNetwork, startNode } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { MODULES } from '../lib/modules.mjs'
import { client } from '../lib/ao.mjs'
import { until } from '../lib/until.mjs'
import { counting } from './counting.mjs'

const AOS = MODULES['aos 2.0.6 (64-bit)']
const EXTENSION = { name: 'Extension', value: 'WeaveDrive' }
const attestor = { name: 'Attestor', value: addressOf(wallet(0)) }

let network, ada, module
before(async () => {
  network = await startNetwork()
  ada = client(network, wallet(0), { aoconnect, Arweave })
  module = await ada.publish(AOS)
})
after(() => network.stop())

/** Publishes data with tags as a transaction, waits until messages may read it, and answers its id. */
async function publish (data, tags = {}, jwk = ada.jwk) {
  const { arweave } = ada
  const tx = await arweave.createTransaction({ data }, jwk)
  for (const [name, value] of Object.entries(tags)) tx.addTag(name, value)
  await arweave.transactions.sign(tx, jwk)
  const uploader = await arweave.transactions.getUploader(tx)
  while (!uploader.isComplete) {
    await uploader.uploadChunk()
    assert.equal(uploader.lastResponseStatus, 200, JSON.stringify(uploader.lastResponseError))
  }
  // The next message has the height that the scheduler knows.
  await until(`${tx.id} is in a block that the scheduler knows`, async () => {
    const { confirmed } = await arweave.transactions.getStatus(tx.id)
    const { block_height: height } = await (await fetch(`${network.su}/timestamp`)).json()
    return confirmed && Number(height) >= confirmed.block_height
  })
  return tx.id
}

const attest = (id, jwk) => publish('attested', { 'Data-Protocol': 'ao', Type: 'Attestation', Message: id }, jwk)
const offer = (id, jwk) => publish('available', { 'Data-Protocol': 'WeaveDrive', Type: 'Available', ID: id }, jwk)

/** Lua that answers what is in a file, or that there is none. */
const content = (path) => `local f = io.open('${path}'); if not f then return 'not available' end
  local text = f:read(f:seek('end')); f:close(); return text`

test('data is read once its attestor has said so, and by nobody else\'s word', async () => {
  const process = await ada.spawn(module, [EXTENSION, attestor])
  const id = await publish('from the weave')
  assert.equal(await ada.value(process, content(`/data/${id}`)), 'not available')
  await attest(id, wallet(1))
  assert.equal(await ada.value(process, content(`/data/${id}`)), 'not available')
  await attest(id)
  assert.equal(await ada.value(process, content(`/data/${id}`)), 'from the weave')
  const plain = await ada.spawn(module, [attestor])
  assert.equal(await ada.value(plain, content(`/data/${id}`)), 'not available')
})

test('what is said to be available counts in the mode Individual only', async () => {
  const id = await publish('said to be available')
  await offer(id)
  const mode = (value) => ada.spawn(module, [EXTENSION, attestor, { name: 'Availability-Type', value }])
  assert.equal(await ada.value(await mode('Individual'), content(`/data/${id}`)), 'said to be available')
  assert.equal(await ada.value(await mode('Assignments'), content(`/data/${id}`)), 'not available')
  assert.match(JSON.stringify(await ada.eval(await mode('Library'), content(`/data/${id}`))), /Library is not supported/)
  assert.match(JSON.stringify(await ada.eval(await mode('Everything'), content(`/data/${id}`))), /is not known/)
})

test('headers of transactions and blocks are JSON, what is not there yet is not available', async () => {
  const process = await ada.spawn(module, [EXTENSION])
  const id = await publish('a header', { Colour: 'blue' })
  const header = JSON.parse(await ada.value(process, content(`/tx/${id}`)))
  assert.equal(header.id, id)
  assert.equal(header.ownerAddress, addressOf(ada.jwk))
  assert.equal(Buffer.from(header.tags.at(-1).value, 'base64url').toString(), 'blue')
  const block = JSON.parse(await ada.value(process, content('/block/1')))
  assert.equal(block.height, 1)
  assert.equal(block.indep_hash, (await (await fetch(`${network.gateway}/block/height/1`)).json()).indep_hash)
  assert.equal(await ada.value(process, content('/block/123456789')), 'not available')
  assert.equal(await ada.value(process, content('/headers/1')), 'not available')
})

test('a process boots from what its On-Boot names', async () => {
  const id = await publish('Booted = "from the weave"')
  const process = await ada.spawn(module, [{ name: 'On-Boot', value: id }])
  assert.equal(await ada.value(process, 'return Booted'), 'from the weave')
})

// aos takes as many bytes for read as it asked for: beyond the end it shows what was in its buffer, here as in the reference.
test('a file is read from where it is, up to its end, and again', async () => {
  const process = await ada.spawn(module, [EXTENSION, attestor])
  const id = await publish('0123456789'.repeat(1000))
  await attest(id)
  const lua = `local f = io.open('/data/${id}'); local a = f:read(7); local b = f:read(5)
    f:seek('set', 9995); local c = f:read(5); f:seek('set', 3); local d = f:read(2); f:close()
    return a .. ' ' .. b .. ' ' .. c .. ' ' .. d`
  assert.equal(await ada.value(process, lua), '0123456 78901 56789 34')
})

test('of a data set of 100 MB on a gateway elsewhere only what is read is fetched', { timeout: 600_000 }, async () => {
  const size = 100_000_000
  const data = createHash('shake256', { outputLength: size }).update('a data set').digest()
  const id = await publish(data)
  await attest(id)
  const folder = mkdtempSync(join(tmpdir(), 'pirn-'))
  const proxy = await counting(network.gateway)
  const node = await startNode(['su', 'cu', 'mu'], folder, { gateway: proxy.url, bundler: network.bundler })
  try {
    const far = client({ ...node, gateway: network.gateway }, wallet(0), { aoconnect, Arweave })
    const process = await far.spawn(module, [EXTENSION, attestor])
    assert.equal(await far.value(process, '1 + 1'), '2')
    const before = proxy.bytes()
    const offsets = Array.from({ length: 20 }, (_, n) => (n * 48_271 * 1_999 + 77_777_777) % (size - 32))
    const lua = `local f = io.open('/data/${id}'); local all = {}
      for _, at in ipairs({ ${offsets.join(', ')} }) do
        f:seek('set', at); all[#all + 1] = f:read(32):gsub('.', function (c) return string.format('%02x', c:byte()) end)
      end
      f:close(); return table.concat(all, ' ')`
    const expected = offsets.map((at) => data.subarray(at, at + 32).toString('hex')).join(' ')
    assert.equal(await far.value(process, lua), expected)
    // Twenty chunks of 256 KiB as base64url, their proofs, and the questions before them.
    const fetched = proxy.bytes() - before
    assert.ok(fetched > 20 * 32 && fetched < 10_000_000, `${fetched} bytes fetched`)
  } finally {
    await node.stop()
    await proxy.stop()
    rmSync(folder, { recursive: true })
  }
})

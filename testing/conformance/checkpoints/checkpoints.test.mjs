// Checkpoints on the weave, of a real aos: what is published, who starts from it, and what is refused.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { gunzipSync, gzipSync } from 'node:zlib'
import AoLoader from '@permaweb/ao-loader'
import * as aoconnect from '@permaweb/aoconnect'
import { ArweaveSigner, createData } from 'arbundles'
import Arweave from 'arweave'
import { client, plain } from '../lib/ao.mjs'
import { MODULES, moduleBytes } from '../lib/modules.mjs'
import { PIRN, startNetwork, startUnit } from '../lib/network.mjs'
import { until } from '../lib/until.mjs'
import { addressOf, wallet } from '../lib/wallets.mjs'
import { graphql } from '../lib/weave.mjs'

// Modules of 64 bits: Node.js has them without a flag from 24 on, and knows the flag no more.
if (Number(globalThis.process.versions.node.split('.')[0]) < 24) setFlagsFromString('--experimental-wasm-memory64')

const AOS = MODULES['aos 2.0.6 (64-bit)']
const COUNT = 'Count = (Count or 0) + 1; return Count'
const BEFORE = 50
const AFTER = 5

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
const folders = []
let network, ada, process, published, state, last, expected

before(async () => {
  network = await startNetwork()
  ada = client(network, wallet(0), { aoconnect, Arweave })
  process = await ada.spawn(await ada.publish(AOS), [{ name: 'Memory-Limit', value: '128-mb' }])
  for (let n = 1; n <= BEFORE; n++) assert.equal(await ada.value(process, COUNT), String(n))
  published = await checkpoint()
  const response = await fetch(`${network.cu}/state/${process}`)
  state = Buffer.from(await response.arrayBuffer())
  for (let n = 1; n <= AFTER; n++) last = await ada.send(process, { Action: 'Eval' }, COUNT)
  expected = await outcome(network)
})
after(async () => {
  await network.stop()
  folders.forEach((folder) => rmSync(folder, { recursive: true }))
})

async function checkpoint () {
  const { stdout } = await promisify(execFile)(PIRN, ['checkpoint', process, '--cu', network.cu, '--json'])
  return JSON.parse(stdout)
}

/** What a unit says that came of the last message. */
async function outcome (node) {
  const response = await fetch(`${node.cu}/result/${last}?process-id=${process}`)
  assert.equal(response.status, 200)
  return response.json()
}

/** An item as GraphQL tells it, rebuilt with arbundles, and its data. */
async function item (id) {
  const { transaction } = await graphql(network, `query { transaction(id: "${id}") {
    anchor signature owner { address key } tags { name value } } }`)
  const data = Buffer.from(await (await fetch(`${network.gateway}/raw/${id}`)).arrayBuffer())
  const publicKey = Buffer.from(transaction.owner.key, 'base64url')
  const signature = Buffer.from(transaction.signature, 'base64url')
  const kind = { publicKey, ownerLength: publicKey.length, signatureLength: signature.length, signatureType: publicKey.length === 32 ? 2 : 1 }
  const rebuilt = createData(data, kind, { tags: transaction.tags, anchor: transaction.anchor || undefined })
  await rebuilt.setSignature(signature)
  return { ...transaction, data, rebuilt }
}

/** Uploads a checkpoint that arbundles signs, and answers its id. */
async function upload (jwk, tags, data) {
  const made = createData(data, new ArweaveSigner(jwk), { tags })
  await made.sign(new ArweaveSigner(jwk))
  const response = await fetch(`${network.bundler}/tx`, {
    method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: made.getRaw()
  })
  assert.equal(response.status, 200, await response.text())
  await until(`${made.id} is found`, async () => (await graphql(network, `query { transaction(id: "${made.id}") { id } }`)).transaction)
  return made.id
}

/** Runs something with a compute unit that has an empty disk and trusts these owners; answers what it counted. */
async function fresh (owners, run = async () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'pirn-checkpoints-'))
  folders.push(folder)
  const options = {
    'ports.cu': 0, 'remote.gateway': network.gateway, 'remote.su': network.su,
    'cu.checkpoints.look_beyond': 0, 'cu.checkpoints.trusted_owners': JSON.stringify(owners)
  }
  const node = await startUnit(['cu'], folder, options)
  try {
    assert.deepEqual(await outcome(node), expected)
    await run(node)
    const text = await (await fetch(`${node.cu}/metrics`)).text()
    const of = (name) => Number(new RegExp(`^pirn_cu_${name} (.*)$`, 'm').exec(text)?.[1])
    return {
      revived: of('revived'), passed: of('passed'), refused: of('checkpoints_refused'), evaluated: of('evaluated'), replayed: of('replayed')
    }
  } finally {
    await node.stop()
  }
}

const none = (refused) => ({ revived: 0, passed: 0, refused, evaluated: 1 + BEFORE + AFTER, replayed: 0 })
const from = (replayed = 0) => ({ revived: 1, passed: 1 + BEFORE, refused: 0, evaluated: AFTER, replayed })

test('what is published is gzip of the memory, signed, with the tags of the reference in its order', async () => {
  const { data, tags, owner, rebuilt } = await item(published.id)
  assert.equal(rebuilt.id, published.id)
  assert.ok(await rebuilt.isValid())
  assert.equal(owner.address, network.addresses.cu)
  const memory = gunzipSync(data)
  assert.ok(memory.equals(state), 'the memory is that of /state')
  assert.equal(memory.length % 65536, 0)
  const schedule = await (await fetch(`${network.su}/${process}?limit=1000`)).json()
  const { assignment } = schedule.edges[BEFORE].node
  const of = (name) => assignment.tags.find((tag) => tag.name === name).value
  const { tags: spawned } = (await graphql(network, `query { transaction(id: "${process}") { tags { name value } } }`)).transaction
  assert.deepEqual(tags.map(({ name, value }) => [name, value]), [
    ['Data-Protocol', 'ao'], ['Variant', 'ao.TN.1'], ['Type', 'Checkpoint'],
    ['Module', spawned.find((tag) => tag.name === 'Module').value], ['Process', process],
    ['Nonce', String(BEFORE)], ['Timestamp', of('Timestamp')], ['Block-Height', String(Number(of('Block-Height')))],
    ['Content-Type', 'application/octet-stream'], ['SHA-256', sha256(memory)], ['Content-Encoding', 'gzip'],
    ['Unit-Identifier', 'pirn'], ['Ordinate', String(BEFORE)],
    ['Assignment', assignment.id], ['Hash-Chain', of('Hash-Chain')], ['Epoch', '0']
  ])
  assert.deepEqual([published.sha256, published.sizeBytes, published.slot], [sha256(memory), memory.length, BEFORE])
})

test('a compute unit with an empty disk goes on from there, and has outcomes from before all the same', async () => {
  const owners = [network.addresses.cu]
  assert.deepEqual(await fresh(owners), from())
  const earlier = async (node) => {
    const { edges } = await (await fetch(`${network.su}/${process}?limit=1000`)).json()
    const id = edges[10].node.message.id
    const read = async (unit) => (await fetch(`${unit.cu}/result/${id}?process-id=${process}`)).json()
    assert.deepEqual(await read(node), await read(network))
  }
  assert.deepEqual(await fresh(owners, earlier), from(11))
})

test('nobody starts from a checkpoint of somebody whom he does not trust', async () => {
  assert.deepEqual(await fresh([]), none(0))
  assert.deepEqual(await fresh([addressOf(wallet(3))]), none(0))
})

test('a damaged one, one too large and one that lies are refused', async () => {
  const { data, tags } = await item(published.id)
  const flipped = Buffer.from(data)
  flipped[data.length >> 1] ^= 1
  await upload(wallet(1), tags, flipped)
  const bomb = Buffer.alloc(2 ** 27 + 65536)
  const named = (name, value) => tags.map((tag) => tag.name === name ? { name, value } : tag)
  await upload(wallet(1), named('SHA-256', sha256(bomb)), gzipSync(bomb))
  await upload(wallet(1), named('Nonce', String(BEFORE - 1)), data)
  await upload(wallet(1), named('Module', last), data)
  assert.deepEqual(await fresh([addressOf(wallet(1))]), none(4))
})

test('one as the reference writes it, of the memory and nothing else, is gone on from', async () => {
  const { tags } = await item(published.id)
  const known = new Set(['Assignment', 'Hash-Chain', 'Epoch'])
  await upload(wallet(2), tags.filter(({ name }) => !known.has(name)), gzipSync(state, { level: 9 }))
  assert.deepEqual(await fresh([addressOf(wallet(2))]), from())
})

test('the loader of the reference units goes on from ours', async () => {
  const memory = gunzipSync((await item(published.id)).data)
  const handle = await AoLoader(moduleBytes(AOS), { format: AOS.format, memoryLimit: '1-gb', computeLimit: 9e12 })
  const { edges } = await (await fetch(`${network.su}/${process}?limit=1000`)).json()
  const { tags } = edges[0].node.message
  const owner = addressOf(wallet(0))
  const message = {
    Id: last, Target: process, Owner: owner, From: owner, Data: COUNT, Module: last, Timestamp: 1_800_000_000_000,
    'Block-Height': 100, Tags: [{ name: 'Action', value: 'Eval' }], Cron: false
  }
  const environment = { Process: { Id: process, Owner: owner, Tags: tags }, Module: { Id: last, Tags: [] } }
  const { Output, Error: failed } = await handle(memory, message, environment)
  assert.equal(failed, undefined)
  assert.equal(plain(Output.data.output ?? Output.data), String(BEFORE + 1))
})

test('it is published once', async () => {
  const first = await checkpoint()
  assert.deepEqual([first.slot, first.isNew], [BEFORE + AFTER, true])
  assert.deepEqual(await checkpoint(), { ...first, isNew: false })
})

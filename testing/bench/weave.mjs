// What the weave takes in (items, bundles, chunks) and how many queries it answers, by how many items it has.
// The transactions and queries of the smallest size also go to arlocal, which is started for that; or to the one at
// ARLOCAL=URL. WEAVE_ITEMS=N fills up to so many instead: as many as there is disk for.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Arweave from 'arweave'
import { request } from 'undici'
import { ED25519, dataItem, network, now, quantile, row, sized, sleep, together, whileTime } from './lib.mjs'
import { startArlocal } from '../conformance/arlocal/arlocal.mjs'
import { wallet } from '../conformance/lib/wallets.mjs'

const SINGLE = sized(500, 5000)
const SIZES = sized([1000, 10_000], [10_000, 100_000], [10_000, 100_000, 1_000_000, 10_000_000])
if (process.env.WEAVE_ITEMS) SIZES.splice(0, Infinity, ...SIZES.filter((size) => size < process.env.WEAVE_ITEMS), Number(process.env.WEAVE_ITEMS))
const BUNDLE = 1000
const QUERY_MS = sized(500, 3000)
const CHUNKED = sized(8, 64) * 2 ** 20

const owner = createHash('sha256').update(ED25519.owner).digest('base64url')
const jwk = wallet(0)

async function ask (method, url, body, type) {
  const answer = await request(url, { method, body, headers: type ? { 'content-type': type, prefer: 'return=minimal' } : {} })
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  if (answer.statusCode >= 300) throw new Error(`${method} ${url}: ${answer.statusCode} ${bytes.toString().slice(0, 200)}`)
  return bytes
}

/** Beyond so many items, those that are added have hardly any data: it is the index that grows, not the disk. */
const LARGE = 1_000_000

/** The `n`th item: a name that all have, one that every thousandth has, and about 300 bytes of data. */
const item = (n) => dataItem(ED25519, {
  tags: { 'App-Name': 'bench', Group: `g${n % 1000}`, Number: String(n), 'Content-Type': 'text/plain' }, data: n < LARGE ? Buffer.alloc(300, `${n} `) : `${n}`
})

async function items (from, count) {
  const made = []
  for (let n = from; n < from + count; n += 100) {
    made.push(...await Promise.all(Array.from({ length: Math.min(100, from + count - n) }, (_, i) => item(n + i))))
  }
  return made
}

function bundleOf (items) {
  const number = (n) => { const bytes = Buffer.alloc(32); bytes.writeBigUInt64LE(BigInt(n)); return bytes }
  const index = items.flatMap(({ id, raw }) => [number(raw.length), Buffer.from(id, 'base64url')])
  return Buffer.concat([number(items.length), ...index, ...items.map(({ raw }) => raw)])
}
const BUNDLE_TAGS = { 'Bundle-Format': 'binary', 'Bundle-Version': '2.0.0' }

const upload = ({ raw }) => ask('POST', `${network.urls.bundler}/tx`, raw, 'application/octet-stream')

async function graphql (url, query, wanted) {
  const body = JSON.stringify({ query })
  const { data, errors } = JSON.parse(await ask('POST', `${url}/graphql`, body, 'application/json'))
  const edges = data?.transactions?.edges
  if (errors || edges.length !== wanted) throw new Error(`${query}: ${JSON.stringify(errors ?? edges.length)} instead of ${wanted}`)
  return edges
}

/** Queries of a kind per second, eight at a time, over `size` items, and how long one takes. */
async function queries (label, url, size) {
  const node = 'edges { cursor node { id tags { name value } owner { address } block { height } } }'
  const some = async () => (await graphql(url, `{ transactions(tags: [{ name: "Group", values: ["g7"] }], first: 1) { ${node} } }`, 1))[0].node.id
  const id = await some()
  let n = 0
  const kinds = {
    'by id': () => graphql(url, `{ transactions(ids: ["${id}"]) { ${node} } }`, 1),
    'by a rare tag': () => graphql(url, `{ transactions(tags: [{ name: "Group", values: ["g${n++ % 1000}"] }], first: 10) { ${node} } }`, Math.min(10, size / 1000)),
    'by an owner and two tags, newest first': () => graphql(url, `{ transactions(owners: ["${owner}"], tags: [
      { name: "App-Name", values: ["bench"] }, { name: "Content-Type", values: ["text/plain"] }], first: 10, sort: HEIGHT_DESC) { ${node} } }`, 10),
    'a page of 100': () => graphql(url, `{ transactions(tags: [{ name: "App-Name", values: ["bench"] }], first: 100) { ${node} } }`, 100)
  }
  for (const [kind, query] of Object.entries(kinds)) {
    await query()
    const start = now()
    const took = await whileTime(QUERY_MS, 8, query)
    row(`${label}, ${size} items, queries ${kind}`, '/s', took.length / (now() - start) * 1000)
    row(`${label}, ${size} items, query ${kind} p99`, 'ms', quantile(took, 0.99))
  }
}

/** Posts transactions with bundles, as arweave-js does; answers items per second until all are found. */
async function transactions (label, url, bundles) {
  const { hostname, port } = new URL(url)
  const arweave = Arweave.init({ host: hostname, port, protocol: 'http' })
  await ask('GET', `${url}/mint/${await arweave.wallets.jwkToAddress(jwk)}/1000000000000000000`)
  const signed = []
  for (const data of bundles) {
    const tx = await arweave.createTransaction({ data }, jwk)
    for (const [name, value] of Object.entries(BUNDLE_TAGS)) tx.addTag(name, value)
    await arweave.transactions.sign(tx, jwk)
    signed.push(tx)
  }
  const start = now()
  for (const tx of signed) {
    const uploader = await arweave.transactions.getUploader(tx)
    while (!uploader.isComplete) await uploader.uploadChunk()
  }
  await ask('GET', `${url}/mine`)
  const last = signed.at(-1).id
  for (;;) {
    const found = JSON.parse(await ask('POST', `${url}/graphql`, JSON.stringify({
      query: `{ transactions(tags: [{ name: "Number", values: ["${bundles.length * BUNDLE - 1}"] }]) { edges { node { id } } } }`
    }), 'application/json')).data.transactions.edges
    if (found.length) break
    if (now() - start > 600_000) throw new Error(`the items of ${last} are not found`)
    await sleep(5)
  }
  row(`${label}, items in posted transactions of ${BUNDLE}`, '/s', bundles.length * BUNDLE / (now() - start) * 1000)
}

async function chunks (url) {
  const { hostname, port } = new URL(url)
  const arweave = Arweave.init({ host: hostname, port, protocol: 'http' })
  const data = createHash('shake256', { outputLength: CHUNKED }).update('chunks').digest()
  const tx = await arweave.createTransaction({ data }, jwk)
  await arweave.transactions.sign(tx, jwk)
  await ask('POST', `${url}/tx`, JSON.stringify({ ...tx.toJSON(), data: '' }), 'application/json')
  const count = tx.chunks.chunks.filter(({ minByteRange, maxByteRange }) => maxByteRange > minByteRange).length
  const posts = Array.from({ length: count }, (_, n) => JSON.stringify(tx.getChunk(n, data)))
  let start = now()
  await together(posts, 8, (post) => ask('POST', `${url}/chunk`, post, 'application/json'))
  row('weave, chunks posted', 'MB/s', CHUNKED / 2 ** 20 / (now() - start) * 1000)
  await ask('GET', `${url}/mine`)
  const { offset } = JSON.parse(await ask('GET', `${url}/tx/${tx.id}/offset`))
  const first = Number(offset) - CHUNKED + 1
  start = now()
  await together(Array.from({ length: count }, (_, n) => first + n * 2 ** 18), 8, (at) => ask('GET', `${url}/chunk/${at}`))
  row('weave, chunks fetched', 'MB/s', CHUNKED / 2 ** 20 / (now() - start) * 1000)
  start = now()
  const read = await ask('GET', `${url}/raw/${tx.id}`)
  row('weave, data fetched', 'MB/s', CHUNKED / 2 ** 20 / (now() - start) * 1000)
  if (!read.equals(data)) throw new Error('the data that was posted in chunks came back otherwise')
}

const gateway = network.urls.gateway
await chunks(gateway)

// Each verified, indexed and on the disk when it is acknowledged.
const single = (await Promise.all(Array.from({ length: SINGLE }, (_, n) => dataItem(ED25519, { tags: { 'App-Name': 'single', Number: `s${n}` }, data: Buffer.alloc(300, 'x') }))))
for (const width of [1, 32]) {
  const part = width === 1 ? single.slice(0, SINGLE / 5) : single.slice(SINGLE / 5)
  const start = now()
  await together(part, width, upload)
  row(`weave, items one by one, ${width} connections`, '/s', part.length / (now() - start) * 1000)
}

const smallest = SIZES[0] / BUNDLE
const bundles = []
for (let n = 0; n < smallest; n++) bundles.push(bundleOf(await items(n * BUNDLE, BUNDLE)))
await transactions('weave', gateway, bundles)
await queries('weave', gateway, SIZES[0])
const files = mkdtempSync(join(tmpdir(), 'pirn-bench-arlocal-'))
const arlocal = process.env.ARLOCAL ? { gateway: process.env.ARLOCAL, stop () {} } : await startArlocal(files)
try {
  await transactions('arlocal', arlocal.gateway, bundles)
  await queries('arlocal', arlocal.gateway, SIZES[0])
} finally {
  await arlocal.stop()
  rmSync(files, { recursive: true, force: true })
}

let there = SIZES[0]
let took = 0
for (const size of SIZES.slice(1)) {
  const added = size - there
  took = 0
  for (; there < size; there += BUNDLE) {
    const bundle = await dataItem(ED25519, { tags: BUNDLE_TAGS, data: bundleOf(await items(there, BUNDLE)) })
    const start = now()
    await upload(bundle)
    took += now() - start
  }
  row(`weave, items in uploaded bundles of ${BUNDLE}, up to ${size}`, '/s', added / took * 1000)
  await queries('weave', gateway, size)
}

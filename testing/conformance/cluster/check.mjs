// What must hold in the end, whatever went wrong on the way.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { PIRN } from '../lib/network.mjs'
import { until } from '../lib/until.mjs'
import { graphql } from '../lib/weave.mjs'
import { HOPS } from './load.mjs'

/** Seconds in which everything that is under way must have come to its end. Only what never ends takes that long. */
const CALM = 240

const tag = (item, name) => item.tags.find((each) => each.name === name)?.value
const digest = (...parts) => { const hash = createHash('sha256'); for (const part of parts) hash.update(part); return hash.digest() }
const count = (list) => list.reduce((counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1), new Map())

/** Milliseconds after which what is under way is looked at. */
const LONG = 20_000

/** Waits until nobody has anything left to do. Answers how long that took, ms, and what was under way if that was long. */
export async function settle (cluster) {
  const began = Date.now()
  let [last, seen] = []
  let same = 0
  await until('something is still under way', async () => {
    const [mu, su] = await Promise.all([cluster.metrics('mu'), cluster.metrics('su')])
    last = { outbox: mu.pirn_mu_outbox, unsettled: su.pirn_su_unsettled }
    assert.ok(Object.values(last).every(Number.isFinite), `the metrics lack something: ${JSON.stringify(last)}`)
    // A task that is done makes the next one: only twice nothing is nothing.
    same = last.outbox === 0 && last.unsettled === 0 ? same + 1 : 0
    if (!seen && Date.now() - began > LONG) seen = JSON.stringify(last) + '\n' + (await run(cluster, ['outbox', '--mu', cluster.direct('mu')])).stdout
    return same > 1
  }, CALM).catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(last)}\nin their midst ${seen}`) })
  return { ms: Date.now() - began, seen }
}

/** Every schedule of the load and of what it spawned, as the scheduler has them: edges by process. */
export async function schedules (cluster, processes) {
  const log = {}
  const waiting = [...processes]
  while (waiting.length) {
    const process = waiting.pop()
    if (log[process]) continue
    log[process] = await schedule(cluster.direct('su'), process)
    for (const { node } of log[process]) {
      if (node.message && tag(node.message, 'Action') === 'Spawned') waiting.push(tag(node.message, 'Process'))
    }
  }
  return log
}

async function schedule (su, process) {
  const edges = []
  for (let page, after = '-1'; ; after = page.edges.at(-1).cursor) {
    page = await json(`${su}/${process}?process-id=${process}&from-nonce=${after}&limit=1000`)
    edges.push(...page.edges)
    if (!page.page_info.has_next_page) return edges
  }
}

/** Slots have no gaps, time goes forward, each hash covers all before it, and nothing is in a schedule twice. */
export function checkSchedules (log) {
  for (const [process, edges] of Object.entries(log)) {
    let chain = digest(Buffer.from(process, 'base64url'))
    let [time, height] = [0, 0]
    edges.forEach(({ node: { assignment } }, slot) => {
      const where = `slot ${slot} of ${process}`
      assert.equal(Number(tag(assignment, 'Nonce')), slot, `the slots of ${process} have a gap`)
      if (slot > 0) chain = digest(Buffer.from(edges[slot - 1].node.assignment.id, 'base64url'), chain)
      assert.equal(tag(assignment, 'Hash-Chain'), chain.toString('base64url'), `the hash chain at ${where}`)
      assert.ok(Number(tag(assignment, 'Timestamp')) > time, `the time at ${where}`)
      assert.ok(Number(tag(assignment, 'Block-Height')) >= height, `the height at ${where}`)
      time = Number(tag(assignment, 'Timestamp'))
      height = Number(tag(assignment, 'Block-Height'))
    })
    for (const [id, n] of count(edges.map(({ node }) => node.message?.id ?? tag(node.assignment, 'Message')))) {
      assert.equal(n, 1, `${id} is in the schedule of ${process} ${n} times`)
    }
  }
}

/** Everything that a client was told is accepted has its slot, and all that it leads to happened once. */
export function checkEffects (log, acknowledged) {
  const messages = Object.entries(log).flatMap(([process, edges]) => edges.map(({ node }) => ({ process, ...node })))
  const placed = new Map(messages.map(({ process, message, assignment }) => [`${process} ${message?.id ?? tag(assignment, 'Message')}`, message]))
  for (const { process, id, action } of acknowledged) assert.ok(placed.has(`${process} ${id}`), `${action} ${id}, which was acknowledged, has no slot in ${process}`)

  // What happened in the schedules, whoever caused it: every kind under a key that must be there once.
  const effects = count(messages.flatMap(({ process, message, assignment }) => {
    // What was assigned from elsewhere is not repeated in the schedule.
    if (!message) return [`share ${tag(assignment, 'Message')} ${process}`]
    const of = (name) => tag(message, name)
    switch (of('Action')) {
      case 'Hop': return [`hop ${of('Chain')} ${of('N')}`]
      case 'Leaf': return [`leaf ${of('Fan')} ${of('I')}`]
      case 'Spawned': return [`spawned ${of('Process')}`]
      default: return of('Brood') && of('Type') === 'Process' ? [`child ${of('Brood')}`] : []
    }
  }))
  for (const [effect, n] of effects) assert.equal(n, 1, `${effect} happened ${n} times`)
  const happened = (effect) => assert.equal(effects.get(effect), 1, `${effect} did not happen`)
  for (const sent of acknowledged) {
    if (sent.action === 'Hop') for (let n = HOPS; n >= 0; n--) happened(`hop ${sent.Chain} ${n}`)
    if (sent.action === 'Fan') for (let i = 1; i <= 3; i++) happened(`leaf ${sent.Fan} ${i}`)
    if (sent.action === 'Share') happened(`share ${sent.id} ${sent.To}`)
    if (sent.action === 'Brood') happened(`child ${sent.Brood}`)
  }
  // What one sender sends to one receiver arrives in its order.
  const leaves = new Map()
  for (const { message } of messages) {
    if (!message || tag(message, 'Action') !== 'Leaf') continue
    const fan = tag(message, 'Fan')
    leaves.set(fan, [...(leaves.get(fan) ?? []), tag(message, 'I')])
  }
  for (const [fan, order] of leaves) assert.deepEqual(order, ['1', '2', '3'], `the leaves of ${fan}`)
  return { messages: messages.length, effects: effects.size }
}

/** All compute units, one with an empty disk among them, say the same bytes of every outcome, and what was told once still holds. */
export async function checkOutcomes (cluster, log, answers) {
  const fresh = await cluster.startFresh()
  try {
    for (const [process, edges] of Object.entries(log)) {
      const ids = edges.map(({ node }) => node.message ? node.message.id : node.assignment.id)
      const [one, two, three] = await Promise.all([cluster.direct('cu1'), cluster.direct('cu2'), fresh.cu].map((cu) => outcomes(cu, process, ids)))
      ids.forEach((id, slot) => {
        assert.equal(two[slot], one[slot], `the compute units disagree about slot ${slot} of ${process}`)
        assert.equal(three[slot], one[slot], `a fresh compute unit disagrees about slot ${slot} of ${process}`)
      })
      for (const answer of answers.filter((answer) => answer.process === process)) {
        const now = JSON.parse(one[ids.indexOf(answer.id)])
        for (const field of Object.keys(answer.result)) assert.deepEqual(answer.result[field], now[field], `${field} of the outcome of ${answer.id} is another now`)
      }
    }
  } finally {
    await fresh.stop()
  }
}

async function outcomes (cu, process, ids) {
  const url = (id) => `${cu}/result/${id}?process-id=${process}`
  // The last first: it has all before it evaluated.
  await text(url(ids.at(-1)))
  const all = []
  for (let at = 0; at < ids.length; at += 16) all.push(...await Promise.all(ids.slice(at, at + 16).map((id) => text(url(id)))))
  return all
}

/** Every message and every assignment is in a block, and no child was spawned twice. */
export async function checkWeave (cluster, log, acknowledged) {
  const gateway = { gateway: cluster.direct('gateway') }
  const ids = Object.values(log).flat().flatMap(({ node }) => [node.assignment.id, node.message?.id].filter(Boolean))
  const missing = async () => {
    const found = new Set()
    for (let at = 0; at < ids.length; at += 100) {
      const { transactions } = await graphql(gateway, 'query ($ids: [ID!]) { transactions(ids: $ids, first: 100) { edges { node { id block { height } } } } }', { ids: ids.slice(at, at + 100) })
      transactions.edges.filter(({ node }) => node.block).forEach(({ node }) => found.add(node.id))
    }
    return ids.filter((id) => !found.has(id))
  }
  let last = []
  await until('the weave lacks something', async () => { last = await missing(); return last.length === 0 }, CALM)
    .catch((error) => { throw new Error(`${error.message}: ${last.length} of ${ids.length}, ${last[0]} among them`) })
  for (const { action, Brood } of acknowledged) {
    if (action !== 'Brood') continue
    const { transactions } = await graphql(gateway, 'query ($brood: [String!]!) { transactions(tags: [{ name: "Brood", values: $brood }, { name: "Type", values: ["Process"] }]) { edges { node { id } } } }', { brood: [Brood] })
    assert.equal(transactions.edges.length, 1, `children of ${Brood}`)
  }
}

/** Nothing was given up. */
export async function checkDead (cluster) {
  const { pirn_mu_dead: dead } = await cluster.metrics('mu')
  if (dead === 0) return
  const { stdout, stderr } = await run(cluster, ['outbox', '--dead', '--mu', cluster.direct('mu')])
  assert.fail(`${dead} tasks of the messenger are dead\n${stdout}\n${stderr}`)
}

/** `pirn verify` has something to say of every process: from the weave alone, every outcome compared with what a unit claims. */
export async function verify (cluster, processes) {
  let slots = 0
  for (const process of processes) {
    const args = ['verify', '--json', '--gateway', cluster.direct('gateway'), '--su', cluster.direct('su'), '--cu', cluster.direct('cu2'), '--mu', cluster.direct('mu'), process]
    const { error, stdout, stderr } = await run(cluster, args)
    assert.ok(!error, `pirn verify ${process}: ${error?.code}\n${stdout}\n${stderr}`)
    slots += JSON.parse(stdout).slots
  }
  return slots
}

/** What the command line says, whether it likes what it finds or not. */
function run (cluster, args) {
  const env = { ...process.env, XDG_STATE_HOME: join(cluster.folder, 'verify') }
  return new Promise((resolve) => execFile(PIRN, args, { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => resolve({ error, stdout, stderr })))
}

const text = async (url) => {
  const response = await fetch(url)
  const body = await response.text()
  assert.ok(response.ok, `${url}: ${response.status} ${body}`)
  return body
}
const json = async (url) => JSON.parse(await text(url))

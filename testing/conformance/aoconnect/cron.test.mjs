// Crons of the legacy network on an existing aos module, with aoconnect's own monitor and unmonitor: what ticks and in
// which order, that each tick is pushed once whatever is killed, what is caught up after a long stop, and children.
//
// The clock of the network stands, and is moved.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { PIRN, startNetwork } from '../lib/network.mjs'
import { addressOf, wallet } from '../lib/wallets.mjs'
import { MODULES } from '../lib/modules.mjs'
import { client } from '../lib/ao.mjs'
import { cronsOf, cursorOf, inOrder, ticksBetween } from '../lib/cron.mjs'
import { until } from '../lib/until.mjs'

const state = mkdtempSync(join(tmpdir(), 'pirn-cron-'))
const SECOND = 1000; const MINUTE = 60 * SECOND; const DAY = 24 * 60 * MINUTE

let network, ada, ben, module
before(async () => {
  await start()
  module = await ada.publish(MODULES['aos 2.0.6 (64-bit)'])
})
after(async () => { await network.stop(); rmSync(state, { recursive: true, force: true }) })

async function start () {
  network = await startNetwork(['--state', state, '--clock', 'manual', '--mine', 'manual', '--no-up'])
  ada = client(network, wallet(0), { aoconnect, Arweave })
  ben = client(network, wallet(1), { aoconnect, Arweave })
}

async function killed () {
  await network.kill()
  await start()
}

const ask = async (url, init) => {
  const answer = await fetch(url, init)
  assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
  return answer.json()
}
const post = (path, body) => ask(`${network.gateway}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
const advance = (ms) => post('/dev/clock/advance', { ms })
const mine = () => post('/dev/mining/mine', { blocks: 1 })
const now = async () => (await ask(`${network.gateway}/api/v1/dev/clock`)).now
const tags = (...pairs) => pairs.map(([name, value]) => ({ name, value }))

const run = (...args) => {
  const at = ['gateway', 'mu', 'su', 'cu'].flatMap((unit) => [`--${unit}`, network[unit]])
  return execFileSync(PIRN, [...args, ...at], { encoding: 'utf8' })
}
const pirn = (...args) => JSON.parse(run(...args, '--json'))

/** What the messenger says of a process whose cron it runs. */
const monitored = async (process) => {
  const { processes } = await ask(`${network.mu}/api/v1/monitored?limit=1000`)
  return processes.find((one) => one.process === process)
}

/** The entries of a schedule: `{ timestamp, height, nonce, tags }`. */
async function schedule (process) {
  const { edges } = await ask(`${network.su}/${process}?limit=1000`)
  return edges.map(({ node: { message, assignment } }) => {
    const said = (name) => Number(assignment.tags.find((tag) => tag.name === name).value)
    return { timestamp: said('Timestamp'), height: said('Block-Height'), nonce: said('Nonce'), tags: message?.tags ?? [] }
  })
}

/** What a receiver was sent by ticks: their names, in the order of its slots. */
const received = async (process) => (await schedule(process))
  .map(({ tags }) => Object.fromEntries(tags.map(({ name, value }) => [name, value])))
  .filter(({ Action }) => Action === 'Beat')

/** Sends `Beat` for each tick, with the action, the time and the height of the tick. */
const beats = (receiver) => `
  Count = 0
  Handlers.prepend('beat', function (m) return m.Cron == true end, function (m)
    Count = Count + 1
    Send({ Target = '${receiver}', Action = 'Beat', Of = tostring(m.Tags.Kind or m.Tags.Action), At = tostring(m.Timestamp), Height = tostring(m['Block-Height']) })
  end)
  return 'ok'`

test('ticks of seconds, minutes and blocks are those of existing compute units, in their order, each pushed once', async () => {
  const receiver = await ada.spawn(module)
  const wishes = tags(
    ['Cron-Interval', '1-minute'], ['Cron-Tag-Kind', 'minute'], ['Cron-Interval', '10-seconds'], ['Cron-Tag-Kind', 'seconds'],
    ['Cron-Interval', '2-blocks'], ['Cron-Tag-Kind', 'blocks'], ['Cron-Interval', '1-year'], ['Cron-Tag-Kind', 'year']
  )
  const process = await ada.spawn(module, wishes)
  await ada.value(process, beats(receiver))
  await ada.ao.monitor({ process, signer: ada.signer })
  for (const step of [0, 1, 2, 3, 4, 5]) {
    // Not in the second of a tick: while a clock stands, its ticks are evaluated already when the block is made.
    await advance(23 * SECOND)
    if (step % 2) await mine()
    if (step === 1 || step === 3) await ada.value(process, 'return Count')
    if (step === 2) await killed()
    await mine()
  }
  await killed()
  await advance(35 * SECOND)
  await ada.value(process, 'return Count')

  const entries = await schedule(process)
  const query = 'query { blocks(first: 100) { edges { node { height timestamp } } } }'
  const { data } = await ask(`${network.gateway}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) })
  const blocks = data.blocks.edges.map(({ node }) => ({ height: node.height, timestamp: node.timestamp * 1000 }))
  const crons = cronsOf(wishes)
  const due = entries.slice(1).flatMap((right, at) => ticksBetween(crons, entries[0], entries[at], right, blocks))
  assert.ok(due.length > 20 && ['0-10-seconds', '1-1-minute', '0-2-blocks'].every((cron) => due.some((tick) => tick.cron === cron)), JSON.stringify(due))

  const expected = inOrder([...entries.map(({ timestamp, nonce }) => ({ timestamp, ordinate: String(nonce), cron: null })), ...due])
  const told = ({ timestamp, ordinate, cron }) => `${timestamp} ${ordinate} ${cron}`
  const all = []
  for (let from; ;) {
    const page = await ada.ao.results({ process, sort: 'ASC', limit: 7, from })
    all.push(...page.edges.map(cursorOf))
    if (page.edges.length < 7) break
    from = page.edges.at(-1).cursor
  }
  assert.deepEqual(all.map(told), expected.map(told))

  // Each was pushed once, and says what it is; those before the process had its handler had nothing to say.
  await until('all are pushed', async () => (await received(receiver)).length >= due.length, 20).catch(() => {}) // What is missing is told below.
  const kinds = { '0-10-seconds': 'seconds', '1-1-minute': 'minute', '0-2-blocks': 'blocks' }
  const said = (await received(receiver)).map(({ Of, At, Height, 'From-Process': from, 'Pushed-For': root }) => {
    assert.deepEqual([from, root], [process, undefined])
    return `${At} ${Of} ${Height}`
  })
  assert.deepEqual(said.sort(), due.map(({ timestamp, cron, height }) => `${timestamp} ${kinds[cron]} ${height}`).sort())
  // A tick is no message: what it sent says which one it was.
  const last = (await ask(`${network.su}/${receiver}?limit=1000`)).edges.at(-1).node.message.id
  const [traced] = pirn('trace', last)
  assert.deepEqual([traced.message, traced.action, traced.state, traced.begunBy.process], [last, 'Beat', 'scheduled', process])
  assert.match(traced.begunBy.cron, /^cron \d-(10-seconds|1-minute|2-blocks) of /)

  const { ticks, failed, leftOut } = await monitored(process)
  assert.deepEqual([ticks, failed, leftOut], [due.length, 0, 0])
  await ada.ao.unmonitor({ process, signer: ada.signer })
  await advance(MINUTE)
  assert.equal((await received(receiver)).length, due.length, 'it is monitored no longer')
})

test('only its owner may have it monitored, or stop that, also after the node was killed', async () => {
  const process = await ada.spawn(module, tags(['Cron-Interval', '1-minute']))
  const refused = (who, verb, what) => assert.rejects(who.ao[verb]({ process, signer: who.signer }), what)
  await refused(ben, 'monitor', /403/)
  await refused(ada, 'unmonitor', /404/)
  await ada.ao.monitor({ process, signer: ada.signer })
  await refused(ada, 'monitor', /409/)
  await refused(ben, 'unmonitor', /403/)
  await killed()
  assert.ok(await monitored(process), 'it is remembered')
  await refused(ben, 'unmonitor', /403/)
  await refused(ada, 'monitor', /409/)
  await ada.ao.unmonitor({ process, signer: ada.signer })
  await killed()
  assert.equal(await monitored(process), undefined)
})

test('after a stop of three days a day is caught up, the rest is left out, and all of it is told', async () => {
  const receiver = await ada.spawn(module)
  const process = await ada.spawn(module, tags(['Cron-Interval', '10-minutes']))
  await ada.value(process, beats(receiver))
  await ada.ao.monitor({ process, signer: ada.signer })
  await advance(35 * MINUTE)
  assert.equal((await received(receiver)).length, 3)
  assert.equal((await network.stop()).code, 0)

  // The computer's clock, as this network knows it, goes on by three days.
  const clock = join(state, 'clock.json')
  const { still: { at } } = JSON.parse(readFileSync(clock, 'utf8'))
  writeFileSync(clock, JSON.stringify({ still: { at: at + 3 * DAY } }))
  await start()
  assert.equal(await now(), at + 3 * DAY)
  await advance(SECOND)
  assert.equal(await ada.value(process, 'return Count'), String(3 + 3 * 144), 'all of them count in its state')
  const told = await monitored(process)
  assert.ok(Math.abs(told.caughtUp - 144) <= 1 && told.caughtUp + told.leftOut + 3 >= 3 * 144 + 2, JSON.stringify(told))
  assert.deepEqual([told.catchUp.pushed, told.catchUp.leftOut, told.ticks], [told.caughtUp, told.leftOut, 3 + 3 * 144])
  const beaten = await received(receiver)
  assert.equal(beaten.length, told.ticks - told.leftOut, 'what is not left out is pushed, once')
  assert.equal(new Set(beaten.map(({ At }) => At)).size, beaten.length)
  assert.ok(beaten.slice(3).every(({ At }) => Number(At) >= at + 2 * DAY - SECOND))

  const listed = pirn('cron')
  const one = listed.processes.find((one) => one.process === process)
  assert.deepEqual([one.caughtUp, one.leftOut, one.failed], [told.caughtUp, told.leftOut, 0])
  assert.ok(one.next > listed.now && one.pushed <= listed.now && one.lagMs < MINUTE)
  assert.match(run('cron'), new RegExp(`${told.caughtUp} ticks caught up, ${told.leftOut} left out`))
  const metrics = await (await fetch(`${network.mu}/metrics`)).text()
  assert.match(metrics, new RegExp(`^pirn_mu_cron_left_out ${told.leftOut}$`, 'm'))
  assert.match(metrics, new RegExp(`^pirn_mu_cron_caught_up ${told.caughtUp}$`, 'm'))
  const { checks } = await ask(`${network.mu}/readyz`)
  assert.match(checks.find(({ name }) => name === 'cron').reason, new RegExp(`${told.caughtUp} of them caught up, ${told.leftOut} left out`))
  assert.ok(network.complaints.some((line) => line.includes('nobody looked at this cron') && line.includes(`"left_out":${told.leftOut}`)), network.complaints.join('\n'))
  await ada.ao.unmonitor({ process, signer: ada.signer })
})

/** A parent that spawns one child with a cron and one with a timer; both tell the receiver. Answers their ids. */
async function family (parent, spawn, receiver) {
  const boot = (kind, pattern) => `Handlers.add("beat", ${pattern}, function (m) Send({ Target = "${receiver}", Action = "Beat", Of = "${kind}" }) end)`
  const child = (kind, wish, pattern) => `
    ${spawn}{ Data = [[${boot(kind, pattern)}]], Tags = {
      { name = 'Authority', value = '${network.authority}' }, { name = 'On-Boot', value = 'Data' }, { name = 'Child', value = '${kind}' }, ${wish} } })`
  await ada.value(parent, `Children = {}
    Handlers.prepend('spawned', function (m) return m.Action == 'Spawned' and 'continue' end, function (m) Children[m.Tags.Child] = m.Tags.Process end)
    ${child('cron', "{ name = 'Cron-Interval', value = '10-seconds' }", 'function (m) return m.Cron == true end')}
    ${child('timer', "{ name = 'Tick-Interval', value = '10-seconds' }, { name = 'Tick-Name', value = 'heart' }", 'function (m) return m.Tags["Tick-Name"] == "heart" and m.From == m.Owner end')}
    return 'ok'`)
  const known = (kind) => until(`no child with a ${kind}`, async () => {
    const id = await ada.value(parent, `return tostring(Children.${kind})`)
    return id.length === 43 && id
  })
  return { cron: await known('cron'), timer: await known('timer') }
}

for (const [name, make] of Object.entries({
  aos: async () => ({ parent: await ada.spawn(module), spawn: `Spawn('${module}', ` }),
  'our Lua': async () => ({ parent: (await post('/processes', {})).id, spawn: 'Spawn(' })
})) {
  test(`a process of ${name} spawns children with crons and timers: they tick, unasked, and go on after a kill`, async () => {
    const { parent, spawn } = await make()
    const receiver = await ada.spawn(module)
    const children = await family(parent, spawn, receiver)
    const one = await monitored(children.cron)
    assert.equal(one?.spawner, parent, 'the messenger runs the cron of what it spawned')
    assert.equal(await monitored(children.timer), undefined, 'timers are the scheduler\'s')
    const of = async (kind) => (await received(receiver)).filter(({ Of }) => Of === kind)
    const before = { cron: (await of('cron')).length, timer: (await of('timer')).length }
    await advance(MINUTE)
    for (const kind of ['cron', 'timer']) {
      const ticks = await of(kind)
      assert.equal(ticks.length - before[kind], 6, `${kind}: ${JSON.stringify(ticks)}`)
      assert.ok(ticks.every((tick) => tick['From-Process'] === children[kind]))
    }
    await killed()
    await advance(MINUTE)
    assert.deepEqual([(await of('cron')).length - before.cron, (await of('timer')).length - before.timer], [12, 12])

    // It belongs to whom its parent belongs to.
    await assert.rejects(ben.ao.unmonitor({ process: children.cron, signer: ben.signer }), /403/)
    await ada.ao.unmonitor({ process: children.cron, signer: ada.signer })
    await advance(MINUTE)
    assert.deepEqual([(await of('cron')).length - before.cron, (await of('timer')).length - before.timer], [12, 18])
    assert.equal((await ask(`${network.su}/processes/${children.cron}`)).owner.address, network.authority)
    assert.equal(addressOf(wallet(0)), (await ask(`${network.su}/processes/${parent}`)).owner.address)
  })
}

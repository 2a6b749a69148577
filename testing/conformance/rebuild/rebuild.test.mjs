// What is lost, and what is left: a node with nothing but its keys, a scheduler whose peers saw more than the weave has, a
// compute unit without a scheduler.
//
// A node settles on the weave of another one, is killed, and loses its disk: all but its keys. It reads its schedules from
// the weave, adopts what somebody else kept, schedules nothing before its operator says so, and then goes on.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataItem } from '../lib/items.mjs'
import { moduleTags } from '../lib/modules.mjs'
import { PIRN, startNetwork, startUnit } from '../lib/network.mjs'
import { until } from '../lib/until.mjs'
import { wallet } from '../lib/wallets.mjs'
import { startProxy } from '../lib/faulty-gateway.mjs'

const MODULE = readFileSync(new URL('../../../crates/runtime/lua/pirn-lua.wasm', import.meta.url))
const MESSAGES = 20
const ROLES = ['gateway', 'bundler', 'mu', 'su', 'cu']

/** What takes minutes on a real network takes moments here. */
const PACES = {
  'settlement.interval_ms': 100,
  'settlement.retry_ms': 100,
  'settlement.retry_max_ms': 500,
  'settlement.confirm_interval_ms': 250,
  'settlement.depth': 2,
  'gateways.rest_ms': 100,
  'gateways.rest_ms_max': 500,
  'gateways.timeout_ms': 2000,
  'su.settle_retry_ms': 100,
  'su.settle_retry_max_ms': 500,
  'limits.enabled': false,
  'ports.gateway': 0, 'ports.bundler': 0, 'ports.mu': 0, 'ports.su': 0, 'ports.cu': 0
}

const folder = mkdtempSync(join(tmpdir(), 'pirn-rebuild-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('a node that lost all but its keys is again what it was, and goes on', { timeout: 300_000 }, async (t) => {
  const real = await startNetwork()
  const proxy = await startProxy(real.gateway, () => 0)
  const state = join(folder, 'state')
  const options = { ...PACES, 'weave.gateway': proxy.url, 'weave.uploader': proxy.url }
  const start = () => startUnit(ROLES, state, options, join(folder, 'node.log'))
  let node
  try {
    node = await start()
    const module = await post(`${node.bundler}/tx`, dataItem(wallet(0), { tags: moduleTags({ format: 'wasm32-unknown-emscripten4' }), data: MODULE }))
    const spawn = (name) => dataItem(wallet(0), {
      tags: ao('Process', { Module: module, Scheduler: node.addresses.su, Authority: node.authority, Name: name })
    })
    const processes = [await post(node.mu, spawn('one')), await post(node.mu, spawn('two'))]
    const [one, two] = processes
    for (let n = 0; n < MESSAGES; n++) await post(node.mu, evaluate(one, `Count = (Count or 0) + 1; Send({ Target = "${two}", Action = "Count", Data = tostring(Count) }); return Count`))
    await until('what was sent does not arrive', async () => (await schedule(node.su, two)).length === MESSAGES + 1)
    await until('not everything is settled', async () => await metric(node, 'pirn_su_unsettled') === 0)

    // From here on the network takes nothing, and two more messages are acknowledged.
    proxy.isOn = true
    for (let n = 0; n < 2; n++) await post(node.su, evaluate(one, 'Count = Count + 100; return Count'))
    assert.ok(await metric(node, 'pirn_su_unsettled') > 0)
    const before = await whole(node, processes)
    // Somebody keeps what they saw.
    const kept = join(folder, 'kept.bundle')
    await pirn(node, ['bundle', one, '--out', kept])
    await node.kill()
    proxy.isOn = false
    cpSync(join(state, 'keys'), join(folder, 'keys'), { recursive: true })
    rmSync(state, { recursive: true })
    cpSync(join(folder, 'keys'), join(state, 'keys'), { recursive: true })

    node = await start()
    const recovery = () => json(`${node.su}/api/v1/recovery`)
    await until('the weave is not read', async () => { const { restoring } = await recovery(); return restoring.rounds > 0 && !restoring.running })
    const told = await recovery()
    assert.equal(told.general.why, 'empty-disk')
    assert.deepEqual(told.restoring.problems, [])
    assert.deepEqual(told.held.map(({ process }) => process).sort(), [...processes].sort())
    assert.deepEqual(await schedule(node.su, one), before.schedules[0].slice(0, -2))
    assert.deepEqual(await schedule(node.su, two), before.schedules[1])

    // Nothing gets a slot: neither what is new, nor what others saw in a slot that is not known here.
    for (const item of [evaluate(one, 'return 1'), spawn('three')]) {
      const refused = await send(node.su, item)
      assert.equal(refused.status, 503, await refused.clone().text())
      assert.equal(refused.headers.get('pirn-error'), 'P0051')
    }
    assert.equal((await fetch(`${node.su}/readyz`)).status, 503)
    assert.ok(await metric(node, 'pirn_su_held') === 2 && await metric(node, 'pirn_su_recovering') === 1)

    const adopted = JSON.parse((await pirn(node, ['recover', 'adopt', kept, '--json'])))
    assert.equal(adopted.adopted, 2)
    assert.deepEqual(await whole(node, processes), before)

    const key = join(state, 'keys', 'su.json')
    const last = String(before.schedules[0].length - 1)
    await assert.rejects(pirn(node, ['recover', 'confirm', one, '--at', '3', '--wallet', key]), /P0053/)
    await assert.rejects(pirn(node, ['recover', 'confirm', one, '--wallet', '0']), /P0005/)
    await pirn(node, ['recover', 'confirm', one, '--at', last, '--wallet', key])
    assert.equal((await send(node.su, evaluate(two, 'return 1'))).status, 503)
    await pirn(node, ['recover', 'confirm', '--all', '--wallet', key])
    assert.equal((await recovery()).general, null)
    await until('it is not ready', async () => (await fetch(`${node.su}/readyz`)).ok)

    // The messenger lost its queue. What it pushes again is there already, and nothing happens twice.
    const again = JSON.parse(await pirn(node, ['recover', 'push', one, '--json']))
    assert.equal(again.messages, MESSAGES)
    const next = await post(node.mu, evaluate(one, `Send({ Target = "${two}", Action = "More" }); return Count`))
    const result = await json(`${node.cu}/result/${next}?process-id=${one}`)
    assert.match(JSON.stringify(result.Output), new RegExp(String(MESSAGES + 200)))
    await until('it does not go on', async () => (await schedule(node.su, two)).length === MESSAGES + 2)
    await until('something is pushed still', async () => await metric(node, 'pirn_mu_outbox') === 0)
    assert.equal((await schedule(node.su, two)).length, MESSAGES + 2)
    await until('not everything is settled', async () => await metric(node, 'pirn_su_unsettled') === 0)
    const slots = JSON.parse(await pirn({ ...node, gateway: real.gateway }, ['verify', one, '--json'])).slots
    assert.equal(slots, before.schedules[0].length + 1)
    t.diagnostic(`${slots} slots of one process verified from the weave`)
  } finally {
    await node?.kill()
    await proxy.stop()
    await real.stop()
  }
})

test('the compute unit and the messenger show a scheduler what it forgot, and its operator goes on', { timeout: 300_000 }, async (t) => {
  const net = await apart('peers')
  try {
    const process = await net.spawn('Count = 0')
    await until('the process is not settled', async () => await metric(net.su, 'pirn_su_unsettled') === 0)
    // What comes from here on is acknowledged, and no weave has it: one half goes through the messenger, the other half
    // is only read by the compute unit.
    net.proxy.isOn = true
    for (let n = 0; n < 3; n++) await post(net.mu.mu, evaluate(process, 'Count = (Count or 0) + 1; return Count', anchor()))
    let last
    for (let n = 0; n < 3; n++) last = await post(net.su.su, evaluate(process, 'Count = Count + 10; return Count', anchor()))
    const outcome = await json(`${net.cu.cu}/result/${last}?process-id=${process}`)
    assert.match(JSON.stringify(outcome.Output), /33/)
    const before = await schedule(net.su.su, process)
    assert.equal(before.length, 7)
    for (const unit of ['cu', 'mu']) assert.ok(await metric(net[unit], 'pirn_witness_kept', unit) > 0)

    await net.su.kill()
    net.lose('su')
    net.proxy.isOn = false
    await net.start('su')
    // Nobody types `pirn recover adopt`.
    await until('the scheduler is not shown what it forgot', async () => (await schedule(net.su.su, process).catch(() => [])).length === 7)
    assert.deepEqual(await schedule(net.su.su, process), before)
    const shown = await metric(net.cu, 'pirn_witness_shown', 'cu') + await metric(net.mu, 'pirn_witness_shown', 'mu')
    assert.ok(shown >= 6, `${shown} shown`)
    const refused = await send(net.su.su, evaluate(process, 'return 1'))
    assert.equal(refused.headers.get('pirn-error'), 'P0051')
    const all = { gateway: net.weave.gateway, su: net.su.su, cu: net.cu.cu, mu: net.mu.mu }
    await pirn(all, ['recover', 'confirm', '--all', '--wallet', net.key('su')])
    const next = await post(net.mu.mu, evaluate(process, 'return Count'))
    assert.match(JSON.stringify((await json(`${net.cu.cu}/result/${next}?process-id=${process}`)).Output), /33/)
    assert.equal((await schedule(net.su.su, process)).length, 8)
    t.diagnostic(`${shown} slots shown by peers`)
  } finally {
    await net.stop()
  }
})

test('a compute unit with an empty disk evaluates from the weave while no scheduler answers, and goes on with it', { timeout: 300_000 }, async (t) => {
  const net = await apart('gone')
  try {
    const process = await net.spawn('Count = 0')
    const sent = []
    for (let n = 0; n < 5; n++) sent.push(await post(net.mu.mu, evaluate(process, 'Count = (Count or 0) + 1; return Count')))
    const results = (cu) => Promise.all(sent.map((id) => json(`${cu}/result/${id}?process-id=${process}`)))
    const before = await results(net.cu.cu)
    await until('not everything is settled', async () => await metric(net.su, 'pirn_su_unsettled') === 0)

    for (const unit of ['su', 'mu', 'cu']) await net[unit].kill()
    net.lose('cu')
    await net.start('cu')
    assert.deepEqual(await results(net.cu.cu), before)
    assert.ok(await metric(net.cu, 'pirn_cu_archive_slots', 'cu') >= 6)
    assert.equal(await metric(net.cu, 'pirn_cu_archive_processes', 'cu'), 1)
    assert.match(net.log('cu'), /its schedule is read from the weave/)
    // Somebody else's item at the place of the log does not become part of it.
    const forged = await fetch(`${net.cu.cu}/result/${net.addresses.su}?process-id=${process}`)
    assert.ok(!forged.ok)

    await net.start('su')
    await net.start('mu')
    const next = await post(net.mu.mu, evaluate(process, 'return Count'))
    assert.match(JSON.stringify((await json(`${net.cu.cu}/result/${next}?process-id=${process}`)).Output), /5/)
    await until('the scheduler is not asked again', async () => {
      await json(`${net.cu.cu}/result/${await post(net.mu.mu, evaluate(process, 'return Count'))}?process-id=${process}`)
      return await metric(net.cu, 'pirn_cu_archive_processes', 'cu') === 0
    })
    t.diagnostic(`${sent.length + 1} slots evaluated from the weave alone`)
  } finally {
    await net.stop()
  }
})

/** A weave, a scheduler, a compute unit and a messenger as four programs; the scheduler reaches the weave through a proxy. */
async function apart (name) {
  const weave = await startNetwork()
  const proxy = await startProxy(weave.gateway, () => 0)
  const at = (unit) => join(folder, name, unit)
  const ports = {}
  const net = {
    weave,
    proxy,
    addresses: {},
    key: (unit) => join(at(unit), 'keys', `${unit}.json`),
    log: (unit) => readFileSync(`${at(unit)}.log`, 'utf8'),
    async start (unit) {
      const gateway = unit === 'su' ? proxy.url : weave.gateway
      const options = { ...PACES, 'remote.gateway': gateway, 'remote.bundler': gateway, 'witness.interval_ms': 200, 'witness.pause_ms': 100, 'archive.pause_ms': 200, 'archive.pause_ms_max': 500 }
      for (const role of ROLES) options[`ports.${role}`] = ports[role] ?? 0
      if (unit !== 'su') options['remote.su'] = `http://127.0.0.1:${ports.su}`
      if (unit === 'mu') options['remote.cu'] = `http://127.0.0.1:${ports.cu}`
      net[unit] = await startUnit([unit], at(unit), options, `${at(unit)}.log`)
      ports[unit] = new URL(net[unit][unit]).port
      Object.assign(net.addresses, net[unit].addresses)
    },
    /** Only the keys are left of what a unit has on its disk. */
    lose (unit) {
      cpSync(join(at(unit), 'keys'), `${at(unit)}-keys`, { recursive: true })
      rmSync(at(unit), { recursive: true })
      cpSync(`${at(unit)}-keys`, join(at(unit), 'keys'), { recursive: true })
    },
    async spawn (data) {
      const tags = moduleTags({ format: 'wasm32-unknown-emscripten4' })
      const module = await post(`${weave.bundler}/tx`, dataItem(wallet(0), { tags, data: MODULE }))
      const { su, mu } = net.addresses
      return post(net.mu.mu, dataItem(wallet(0), { tags: ao('Process', { Module: module, Scheduler: su, Authority: mu, Name: name }), data }))
    },
    async stop () {
      for (const unit of ['mu', 'cu', 'su']) await net[unit]?.kill()
      await proxy.stop()
      await weave.stop()
    }
  }
  mkdirSync(join(folder, name))
  for (const unit of ['su', 'cu', 'mu']) await net.start(unit)
  return net
}

/** Everything that anybody can see of some processes. */
async function whole (node, processes) {
  const schedules = await Promise.all(processes.map((process) => schedule(node.su, process)))
  const results = []
  const histories = []
  for (const [i, process] of processes.entries()) {
    for (const { node: { message } } of schedules[i]) results.push(await json(`${node.cu}/result/${message.id}?process-id=${process}`))
    const { root, size } = await json(`${node.cu}/api/v1/processes/${process}/history`)
    histories.push({ root, size })
  }
  return { schedules, results, histories }
}

const ao = (type, tags) => Object.entries({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: type, ...tags }).map(([name, value]) => ({ name, value }))
const evaluate = (target, data, anchor) => dataItem(wallet(0), { target, anchor, tags: ao('Message', { Action: 'Eval' }), data })
/** A text, as most clients have it: JSON, in which units read schedules, has no room for any 32 bytes. */
const anchor = () => randomBytes(16).toString('hex')
const send = (url, item) => fetch(url, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.raw })

async function post (url, item) {
  const answer = await send(url, item)
  assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
  return item.id
}

async function json (url) {
  const answer = await fetch(url)
  assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
  return answer.json()
}

async function metric (node, name, unit = 'su') {
  const metrics = await (await fetch(`${node[unit]}/metrics`)).text()
  return Number(metrics.match(new RegExp(`^${name} (\\d+)`, 'm'))[1])
}

async function schedule (su, process) {
  const { edges, page_info: page } = await json(`${su}/${process}?process-id=${process}&limit=1000`)
  assert.equal(page.has_next_page, false)
  return edges
}

/** What a command prints. */
async function pirn (node, args) {
  const at = ['--gateway', node.gateway, '--su', node.su, '--cu', node.cu, '--mu', node.mu]
  const env = { ...globalThis.process.env, XDG_STATE_HOME: join(folder, 'commands') }
  const { error, stdout, stderr } = await new Promise((resolve) => execFile(PIRN, [...args, ...at], { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => resolve({ error, stdout, stderr })))
  if (error) throw new Error(`pirn ${args.join(' ')}: ${error.code}\n${stdout}\n${stderr}`)
  return stdout
}

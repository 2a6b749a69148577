// An application of the web with nothing but fetch: it spawns, sends, reads, follows, and is called by webhooks.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PIRN, startNetwork } from '../lib/network.mjs'
import { until } from '../lib/until.mjs'
import { ask, follow, isSigned, receiver } from './web.mjs'

const state = mkdtempSync(join(tmpdir(), 'pirn-web-'))
// Quick to give up, so that a dead receiver is one within a test.
Object.assign(process.env, { PIRN__APPS__TRIES_MAX: '3', PIRN__APPS__RETRY_FIRST_MS: '20', PIRN__APPS__RETRY_LONGEST_MS: '50', PIRN__APPS__PAUSE_AFTER: '4' })
// Little is kept in memory, so that whoever is not at the front reads the record.
process.env.PIRN__APPS__KEPT_BYTES_MAX = '3000'

let network, api
before(async () => { await start() })
after(async () => { await network.stop(); rmSync(state, { recursive: true, force: true }) })

async function start () {
  network = await startNetwork(['--state', state])
  api = `${network.mu}/api/v1`
}

const post = (path, body, headers) => ask(`${api}${path}`, { method: 'POST', body, headers })

/** A process that says `Noted` to everybody's `Note`, with what it was told, and counts. */
async function notes () {
  const spawned = await post('/processes', {})
  assert.equal(spawned.status, 201, JSON.stringify(spawned.said))
  const { id } = spawned.said
  await post('/messages', {
    process: id,
    action: 'Eval',
    data: `Public = { Count = 0 }
      Handlers.add("note", "Note", function(msg)
        Public.Count = Public.Count + 1
        Send({ Target = ao.id, Action = "Noted", Colour = msg.Colour, Data = msg.Data })
        Send({ Target = msg.From, Action = "Thanks", Data = msg.Data })
      end)`
  })
  return {
    id,
    at: `${api}/processes/${id}`,
    note: async (text, tags = {}) => {
      const sent = await post('/messages', { process: id, action: 'Note', data: String(text), tags })
      assert.equal(sent.status, 201, JSON.stringify(sent.said))
      return sent.said.id
    },
    count: async () => Number((await ask(`${api}/processes/${id}/state/Count`)).said)
  }
}

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => String(from + n))
const data = (events) => events.map(({ data }) => data.data)

test('what is sent is read: state by path, with ETag, and at a slot for ever', async () => {
  const process = await notes()
  await process.note('one')
  await until('it counts', async () => await process.count() === 1)
  // Its own message to itself moves it once more: until then the tag is another.
  const first = await until('the answer stays the same', async () => {
    const one = await ask(`${process.at}/state/Count`)
    const again = await ask(`${process.at}/state/Count`, { headers: { 'if-none-match': one.headers.get('etag') } })
    return again.status === 304 && one
  })
  const slot = Number(first.headers.get('pirn-slot'))
  await process.note('two')
  await until('it counts on', async () => await process.count() === 2)
  const then = await ask(`${process.at}/state/Count?at=${slot}`)
  assert.equal(then.said, 1)
  assert.match(then.headers.get('cache-control'), /immutable/)
  assert.equal((await ask(`${process.at}/state/Count?at=${slot}`, { headers: { 'if-none-match': then.headers.get('etag') } })).status, 304)
})

test('the same wish with the same key happens once; another wish with it is a conflict', async () => {
  const process = await notes()
  const key = { 'idempotency-key': 'order-17' }
  const wish = { process: process.id, action: 'Note', data: 'paid' }
  const answers = await Promise.all([1, 2, 3, 4].map(() => post('/messages', wish, key)))
  assert.equal(new Set(answers.map(({ said }) => said.id)).size, 1)
  const repeated = await post('/messages', wish, key)
  assert.equal(repeated.headers.get('idempotent-replay'), 'true')
  assert.equal(repeated.said.id, answers[0].said.id)
  const other = await post('/messages', { ...wish, data: 'more' }, key)
  assert.equal(other.status, 409)
  assert.equal(other.headers.get('content-type'), 'application/problem+json')
  await until('it counts', async () => await process.count() >= 1)
  await process.note('last')
  await until('it counts the last', async () => await process.count() === 2)
})

test('refusals are problems that say what to do', async () => {
  const nobody = `${'a'.repeat(42)}A`
  for (const [path, body, status] of [
    ['/messages', { process: 'nothing' }, 400],
    ['/messages', { process: nobody, tags: { Type: 'Process' } }, 400],
    ['/messages', { process: nobody, signer: 'stranger' }, 400],
    ['/messages', 'no object', 400],
    ['/webhooks', { process: nobody, url: 'ftp://example.com' }, 400],
    ['/webhooks', { process: nobody, url: 'http://10.0.0.1/' }, 403],
    ['/webhooks', { process: nobody, url: 'http://169.254.169.254/latest' }, 403],
    ['/nothing', {}, 404]
  ]) {
    const { status: got, headers, said } = await post(path, body)
    assert.equal(got, status, `${path} ${JSON.stringify(body)}: ${JSON.stringify(said)}`)
    assert.equal(headers.get('content-type'), 'application/problem+json')
    assert.match(said.type, /^urn:pirn:P\d{4}$/)
    assert.ok(said.title && said.detail && said.code && said.status === status)
  }
  for (const path of [`/processes/${nobody}/messages?from=never`, '/processes/nothing/subscribe', `/processes/${nobody}/state/x`, '/webhooks/none']) {
    const { status, headers } = await ask(`${api}${path}`)
    assert.ok(status >= 400 && status < 500, `${path} ${status}`)
    assert.equal(headers.get('content-type'), 'application/problem+json')
  }
})

test('pages of what a process sent go from any place on, and can be filtered', async () => {
  const process = await notes()
  for (const n of range(1, 5)) await process.note(n, { Colour: n % 2 ? 'red' : 'blue' })
  const page = async (query) => (await ask(`${process.at}/messages?${query}`)).said
  await until('all are evaluated', async () => (await page('action=Noted')).messages.length === 5)
  const said = []
  for (let from = 'start', more = true; more;) {
    const { messages, next, hasNext } = await page(`action=Noted&limit=2&from=${from}`)
    said.push(...messages.map(({ data }) => data));
    [from, more] = [next, hasNext]
  }
  assert.deepEqual(said, range(1, 5))
  const texts = async (query) => (await page(query)).messages.map(({ data }) => data)
  assert.deepEqual(await texts('action=Noted&tag=Colour:blue'), ['2', '4'])
  assert.deepEqual(await texts(`recipient=${process.id}&tag=Colour`), range(1, 5))
  assert.deepEqual(await texts('action=Nothing'), [])
  const third = (await page('action=Noted')).messages[2]
  assert.deepEqual(await texts(`action=Noted&from=${third.id}`), ['4', '5'])
  assert.deepEqual(await texts(`action=Noted&from=slot:${third.slot}`), ['3', '4', '5'])
})

test('a stream resumes after any message, also after the node was killed', async () => {
  let process = await notes()
  const live = await follow(`${process.at}/subscribe?action=Noted`)
  await live.next('open')
  for (const n of range(1, 4)) await process.note(n)
  const heard = await live.take(4)
  assert.deepEqual(data(heard), range(1, 4))
  live.close()
  await process.note(5)
  const resumed = await follow(`${process.at}/subscribe?action=Noted`, heard[1].id)
  assert.deepEqual(data(await resumed.take(3)), ['3', '4', '5'])
  await process.note(6)
  assert.deepEqual(data(await resumed.take(1)), ['6'])
  resumed.close()
  await network.kill()
  await start()
  process = { ...process, at: `${api}/processes/${process.id}` }
  await post('/messages', { process: process.id, action: 'Note', data: '7' })
  const later = await follow(`${process.at}/subscribe?action=Noted`, heard[0].id)
  assert.deepEqual(data(await later.take(6)), range(2, 7))
  later.close()
  const budgeted = await follow(`${process.at}/subscribe?action=Noted&from=start&budget=2`)
  assert.deepEqual(data(await budgeted.take(2)), ['1', '2'])
  assert.match((await budgeted.next('end')).data.why, /budget/)
  const beyond = await follow(`${process.at}/subscribe`, '999999-0')
  assert.match((await beyond.next('missed')).data.why, /beyond/)
  beyond.close()
})

test('many subscribers, one that never reads and one that goes away: the others hear all', async () => {
  const process = await notes()
  const count = Number(globalThis.process.env.PIRN_WEB_SUBSCRIBERS ?? 60)
  const [slow, dead, ...others] = await Promise.all(Array.from({ length: count }, () => follow(`${process.at}/subscribe?action=Noted`)))
  await Promise.all(others.map((stream) => stream.next('open')))
  dead.close()
  for (const n of range(1, 20)) await process.note(n)
  const heard = await Promise.all(others.map((stream) => stream.take(20)))
  for (const one of heard) assert.deepEqual(data(one), range(1, 20))
  assert.equal(new Set(heard.map((one) => one.map(({ id }) => id).join())).size, 1)
  // Whoever was slow misses nothing either.
  assert.deepEqual(data(await slow.take(20)), range(1, 20))
  for (const stream of [slow, ...others]) stream.close()
})

test('a webhook is signed, in order, tried again, and made once for one key', async () => {
  const process = await notes()
  let refusals = 3
  const there = await receiver(() => refusals-- > 1 ? 500 : 204)
  const wish = { process: process.id, url: there.url, filter: { actions: ['Noted'] } }
  const made = await post('/webhooks', wish, { 'idempotency-key': 'hook-1' })
  assert.equal(made.status, 201, JSON.stringify(made.said))
  const again = await post('/webhooks', wish, { 'idempotency-key': 'hook-1' })
  assert.equal(again.said.id, made.said.id)
  assert.equal(again.headers.get('idempotent-replay'), 'true')
  for (const n of range(1, 5)) await process.note(n)
  await until('all are delivered', () => there.taken().length === 5)
  assert.deepEqual(there.taken().map(({ said }) => said.data.data), range(1, 5))
  for (const one of there.received) assert.ok(isSigned(one, made.said.secret), one.body)
  const [first, second, third] = there.received.map(({ headers }) => headers['webhook-id'])
  assert.ok(first === second && second === third, 'a retry has the same webhook-id')
  assert.equal(there.received[0].said.data.process, process.id)
  await until('its place is written down', async () => (await ask(`${api}/webhooks/${made.said.id}`)).said.delivered === 5)
  const shown = (await ask(`${api}/webhooks/${made.said.id}`)).said
  assert.equal(shown.secret, undefined)

  const ids = there.taken().map(({ headers }) => headers['webhook-id'])
  const replayed = await post(`/webhooks/${made.said.id}/replay`, { from: there.taken()[2].said.data.id })
  assert.equal(replayed.status, 200, JSON.stringify(replayed.said))
  await until('two are delivered again', () => there.taken().length === 7)
  assert.deepEqual(there.taken().slice(5).map(({ headers }) => headers['webhook-id']), ids.slice(3))
  assert.equal((await ask(`${api}/webhooks/${made.said.id}`, { method: 'DELETE' })).status, 204)
  assert.equal((await ask(`${api}/webhooks/${made.said.id}`)).status, 404)
  there.close()
})

test('what is given up is a dead letter, later ones come all the same, and it can be retried', async () => {
  const process = await notes()
  let well = false
  const there = await receiver(({ said }) => said.data.data === '2' && !well ? 500 : 200)
  const { said: hook } = await post('/webhooks', { process: process.id, url: there.url, filter: { actions: ['Noted'] } })
  for (const n of range(1, 3)) await process.note(n)
  await until('what can be delivered is', () => there.taken().length === 2)
  assert.deepEqual(there.taken().map(({ said }) => said.data.data), ['1', '3'])
  const { dead } = (await ask(`${api}/webhooks/${hook.id}/dead`)).said
  assert.equal(dead.length, 1)
  assert.match(dead[0].error, /500/)
  assert.equal(dead[0].tries, 3)
  const failed = await post(`/webhooks/${hook.id}/dead/${dead[0].place}/retry`, {})
  assert.equal(failed.status, 503)
  well = true
  assert.equal((await post(`/webhooks/${hook.id}/dead/${dead[0].place}/retry`, {})).status, 204)
  assert.equal(there.taken().at(-1).headers['webhook-id'], dead[0].webhook_id)
  assert.deepEqual((await ask(`${api}/webhooks/${hook.id}/dead`)).said.dead, [])
  there.close()
})

test('a receiver that is dead pauses its webhook, holds up no other, and a replay goes on', async () => {
  const process = await notes()
  let well = false
  const [dead, fine] = [await receiver(() => well ? 200 : 503), await receiver()]
  const wish = (url) => ({ process: process.id, url, filter: { actions: ['Noted'] } })
  const { said: paused } = await post('/webhooks', wish(dead.url))
  await post('/webhooks', { ...wish(fine.url), budget: 6 })
  for (const n of range(1, 8)) await process.note(n)
  await until('the other is served', () => fine.taken().length === 6)
  await until('it is paused', async () => (await ask(`${api}/webhooks/${paused.id}`)).said.state === 'paused')
  well = true
  await post(`/webhooks/${paused.id}/replay`, { from: 'start' })
  await until('all are delivered', () => dead.taken().length === 8)
  assert.deepEqual(dead.taken().map(({ said }) => said.data.data), range(1, 8))
  assert.equal(fine.taken().length, 6, 'a budget is kept')
  dead.close()
  fine.close()
})

test('a webhook goes on where it was after the node was killed', async () => {
  const process = await notes()
  const there = await receiver()
  await post('/webhooks', { process: process.id, url: there.url, filter: { actions: ['Noted'] } })
  for (const n of range(1, 3)) await process.note(n)
  await until('three are delivered', () => there.taken().length >= 3)
  await network.kill()
  await start()
  for (const n of range(4, 6)) await post('/messages', { process: process.id, action: 'Note', data: n })
  const different = () => new Set(there.taken().map(({ headers }) => headers['webhook-id'])).size
  await until('all six are delivered', () => different() === 6)
  // At least once, in order: what comes again is what came last.
  const order = there.taken().map(({ said }) => said.data.data)
  assert.deepEqual([...new Set(order)], range(1, 6))
  there.close()
})

test('pirn webhooks does the same on the command line', async () => {
  const process = await notes()
  const there = await receiver()
  const pirn = async (...args) => JSON.parse((await promisify(execFile)(PIRN, ['webhooks', ...args, '--mu', network.mu, '--json'])).stdout)
  const made = await pirn('create', process.id, there.url, '--action', 'Noted', '--tag', 'Colour=red', '--budget', '5')
  assert.match(made.secret, /^whsec_/)
  await process.note(1, { Colour: 'blue' })
  await process.note(2, { Colour: 'red' })
  await until('it is delivered', () => there.taken().length === 1)
  assert.equal(there.taken()[0].said.data.data, '2')
  assert.ok((await pirn()).webhooks.some(({ id }) => id === made.id))
  assert.deepEqual((await pirn('dead', made.id)).dead, [])
  await until('its place is written down', async () => (await pirn('show', made.id)).delivered === 1)
  await pirn('replay', made.id, '--from', 'start')
  await until('it is delivered again', () => there.taken().length === 2)
  assert.deepEqual(await pirn('rm', made.id), { removed: made.id })
  there.close()
})

test('the document of the interface has all of it', async () => {
  const { said } = await ask(`${network.mu}/openapi.json`)
  for (const path of ['messages', 'processes', 'processes/{process}/subscribe', 'processes/{process}/messages', 'webhooks', 'webhooks/{hook}/replay']) {
    assert.ok(said.paths[`/mu/api/v1/${path}`], path)
  }
})

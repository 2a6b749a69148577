// Every recorded request of testing/vectors/reference, asked of our units: the same success or refusal, the same shape.
// A client's error is a 4xx with {"error"} here where the reference says 500. Where the reference is wrong on the word of
// docs/reference-defects.md, DIFFERENT says what is right.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { startNetwork } from '../lib/network.mjs'
import { dataItem, tagsOf } from '../lib/items.mjs'
import { wallet } from '../lib/wallets.mjs'
import { build } from './scenario.mjs'

const folder = new URL('../../vectors/reference/', import.meta.url)
const cases = ['su', 'mu', 'cu'].flatMap((unit) => readdirSync(new URL(unit, folder)).sort()
  .map((file) => JSON.parse(readFileSync(new URL(`${unit}/${file}`, folder), 'utf8'))))

/** Recordings that Pirn answers otherwise, and why: the status class that is right, and the reason. */
const DIFFERENT = {
  'mu/assign_exclude': [202, 'exclude works: the reference has the wrong type in its own schema'],
  'mu/message_duplicate': [202, 'a repeated item is answered with its first assignment'],
  'su/post_message_again': [200, 'a repeated item is answered with its first assignment'],
  'mu/monitor_not_owner_no_cron': [403, 'only the owner may monitor'],
  'mu/unmonitor': [403, 'the recorded one is signed by somebody who is not the owner'],
  'mu/unmonitor_not_owner': [403, 'only the owner may stop a monitor'],
  'mu/no_content_type': [202, 'a valid item is accepted whatever its content type says'],
  'su/post_process_other_scheduler': [422, 'a process of another scheduler is refused'],
  'su/post_no_real_ip': [200, 'no IP list is kept, so the header is not needed'],
  'su/messages_limit0': [400, 'the reference drops the connection'],
  'su/post_too_big': [413, 'the reference cuts the connection'],
  'cu/memory_limit_too_small': [200, 'enforced: the outcome is an error that names the limit'],
  'cu/result_cached_ignores_process': [404, 'a message that the process never got has no result there'],
  'cu/result_cached_no_process': [400, 'process-id is required, cached or not'],
  'cu/dryrun_rate_limited': [200, 'no limit by default']
}

let network, world

before(async () => { network = await startNetwork(['--mine', 'manual']); world = await build(network) }, { timeout: 120_000 })
after(() => network.stop())

/** The shape of JSON: keys and kinds, without the values. */
function shape (value) {
  if (Array.isArray(value)) return value.length ? [shape(value[0])] : []
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]).sort())
  return value === null ? 'null' : typeof value
}

/** Whether `ours` has at least what `theirs` has, in the same kinds; lists may be empty, and null may stand for text. */
function covers (ours, theirs, path = '$') {
  if (Array.isArray(theirs)) {
    assert.ok(Array.isArray(ours), `${path} is a list`)
    if (theirs.length && ours.length) covers(ours[0], theirs[0], `${path}[]`)
  } else if (theirs && typeof theirs === 'object') {
    assert.ok(ours && typeof ours === 'object', `${path} is an object`)
    for (const key of Object.keys(theirs)) {
      assert.ok(key in ours, `${path}.${key} is there`)
      if (key === 'Output') continue // a module's own words, of whatever message it is
      covers(ours[key], theirs[key], `${path}.${key}`)
    }
  } else if (ours !== 'null' && theirs !== 'null') assert.equal(ours, theirs, `kind of ${path}`)
}

function translator (recorded) {
  const pairs = Object.entries(recorded.vars ?? {}).filter(([name]) => world.vars[name]).map(([name, value]) => [value, world.vars[name]])
  const translate = (text) => pairs.reduce((sum, [from, to]) => sum.replaceAll(from, to), text)
  translate.theirs = recorded.vars ?? {}
  return translate
}

function body (recorded, name, translate) {
  const { body, about } = recorded.request
  const fresh = (data = '1') => dataItem(wallet(0), {
    target: world.vars.PROCESS, tags: tagsOf({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Message', Action: 'Eval' }), data
  }).raw
  if (name.endsWith('/too_big') || name.endsWith('/post_too_big')) return fresh('x'.repeat(11 << 20))
  if (name === 'mu/no_content_type') return fresh()
  if (name === 'su/post_bad_signature') { const raw = fresh(); raw[100] ^= 1; return raw }
  if (name === 'su/post_truncated') return fresh().subarray(0, 600)
  if (about) {
    const known = Object.entries(recorded.vars ?? {}).find(([, value]) => value === about.id)
    return known && world.items[known[0]] ? world.items[known[0]].raw : again(name, about, translate)
  }
  return body === null || body === undefined ? undefined : body.encoding === 'base64' ? Buffer.from(body.value, 'base64') : translate(body.value)
}

/** An item that several recordings send is signed once: `post_x_again` and `monitor_again` must repeat the same bytes. */
const signed = new Map()
function again (name, about, translate) {
  if (!signed.has(about.id)) signed.set(about.id, world.resign(about, translate).raw)
  return signed.get(about.id)
}

// In the order that their state asks for: what is repeated comes after what it repeats.
const order = (name) => [/again$|not_monitored$|^su\/assigned|unmonitor/.test(name) ? 1 : 0, name]
cases.sort((a, b) => order(a.name) < order(b.name) ? -1 : 1)

for (const recorded of cases) {
  const { name } = recorded
  test(`${name}: ${recorded.title}`, { timeout: 60_000 }, async () => {
    const translate = translator(recorded)
    const special = world.special[name.replace('cu/', '')]
    let path = recorded.request.path_template.replace(/\{\{(\w+)\}\}/g, (_, variable) => world.vars[variable] ?? assert.fail(`no ${variable}`))
    path = translate(path)
    if (special) path = `/result/${special}?process-id=${special}`
    if (name === 'cu/cron_from') path = `/cron/${world.vars.CRON_PROCESS}?from=${encodeURIComponent(world.vars.CURSOR_CRON)}&limit=50`
    if (name === 'cu/results_asc_from') path = `/results/${world.vars.PROCESS}?from=${encodeURIComponent(world.vars.CURSOR_ASC)}&limit=2`
    if (name === 'cu/results_desc_from') path = `/results/${world.vars.PROCESS}?sort=DESC&limit=3&from=${encodeURIComponent(world.vars.CURSOR_DESC)}`
    if (name === 'cu/result_by_assignment_id') {
      const { assignment } = await (await fetch(`${network.su}/${world.vars.MSG_EVAL}?process-id=${world.vars.PROCESS}`)).json()
      path = `/result/${assignment.id}?process-id=${world.vars.PROCESS}`
    }
    const method = recorded.request.method
    const headers = { ...recorded.request.headers }
    const sent = method === 'GET' ? undefined : body(recorded, name, translate)
    // Its monitor was not stopped by the stranger of mu/unmonitor_not_owner, so stop it first.
    if (name === 'mu/unmonitor_not_monitored') await fetch(network.mu + path, { method, headers, body: sent })
    const answer = await fetch(network[recorded.unit] + path, { method, headers, body: sent, redirect: 'manual' })
    const text = await answer.text()

    const [wanted, reason] = DIFFERENT[name] ?? [recorded.response.status]
    if (wanted >= 200 && wanted < 300) {
      assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${text} (${reason ?? 'recorded as a success'})`)
      const differs = name in DIFFERENT
      if (recorded.response.json && !differs && !/metrics|state/.test(name)) covers(shape(JSON.parse(text)), shape(recorded.response.json))
      if (name === 'cu/memory_limit_too_small') assert.match(JSON.stringify(JSON.parse(text).Error), /memory/i)
    } else {
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${text} (${reason ?? 'recorded as a refusal'})`)
      if (method !== 'HEAD') assert.equal(typeof JSON.parse(text).error, 'string', text)
      if (reason) assert.equal(answer.status, wanted, reason)
    }
  })
}

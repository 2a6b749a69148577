// The checkers notice: a small network that holds, and each way in which it would not.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { checkEffects, checkSchedules } from './check.mjs'

const id = (name) => createHash('sha256').update(name).digest('base64url')
const sha = (...ids) => { const hash = createHash('sha256'); for (const each of ids) hash.update(Buffer.from(each, 'base64url')); return hash.digest('base64url') }
const tags = (object) => Object.entries(object).map(([name, value]) => ({ name, value: String(value) }))

/** A schedule of messages; each is its tags, or the name of what was assigned. */
function schedule (process, messages) {
  let chain = sha(process)
  let before
  return messages.map((message, slot) => {
    if (slot > 0) chain = sha(before, chain)
    const named = typeof message === 'string' ? id(message) : message.id ?? id(`${process} ${slot}`)
    before = id(`assignment ${process} ${slot}`)
    const assignment = { id: before, tags: tags({ Nonce: slot, Timestamp: 1000 + slot, 'Block-Height': '000000000007', 'Hash-Chain': chain, Message: named }) }
    return { node: { message: typeof message === 'string' ? null : { id: named, tags: tags(message) }, assignment } }
  })
}

const [a, b] = [id('a'), id('b')]
const child = id('child')
const world = () => ({
  [a]: [
    { id: a, Type: 'Process' }, { Action: 'Hop', Chain: 'c', N: 4 }, { Action: 'Hop', Chain: 'c', N: 2 }, { Action: 'Hop', Chain: 'c', N: 0 },
    { Action: 'Fan', Fan: 'f' }, { id: id('shared'), Action: 'Share' }, { Action: 'Brood', Brood: 'o' }, { Action: 'Spawned', Process: child }
  ],
  [b]: [
    { id: b, Type: 'Process' }, { Action: 'Hop', Chain: 'c', N: 3 }, { Action: 'Hop', Chain: 'c', N: 1 },
    { Action: 'Leaf', Fan: 'f', I: 1 }, { Action: 'Leaf', Fan: 'f', I: 2 }, { Action: 'Leaf', Fan: 'f', I: 3 }, 'shared'
  ],
  [child]: [{ id: child, Type: 'Process', Brood: 'o' }]
})
const acknowledged = [
  { process: a, id: a, action: 'Process' },
  { process: a, id: id(`${a} 1`), action: 'Hop', Chain: 'c' },
  { process: a, id: id(`${a} 4`), action: 'Fan', Fan: 'f', To: b },
  { process: a, id: id('shared'), action: 'Share', To: b },
  { process: a, id: id(`${a} 6`), action: 'Brood', Brood: 'o' }
]

/** Checks the world after `messages` changed what is in it, and `log` what the scheduler made of it. */
function check ({ messages = () => {}, log = () => {} } = {}) {
  const all = world()
  messages(all)
  const schedules = Object.fromEntries(Object.entries(all).map(([process, list]) => [process, schedule(process, list)]))
  log(schedules)
  checkSchedules(schedules)
  return checkEffects(schedules, acknowledged)
}
const set = (edge, name, value) => { edge.node.assignment.tags.find((tag) => tag.name === name).value = String(value) }

test('a network that holds passes', () => assert.deepEqual(check(), { messages: 16, effects: 11 }))

for (const [what, change, why] of [
  ['a slot is missing', { log: (log) => log[a].splice(2, 1) }, /have a gap/],
  ['a slot is signed over another past', { log: (log) => set(log[a][3], 'Hash-Chain', id('other')) }, /the hash chain at slot 3/],
  ['time stands still', { log: (log) => set(log[a][2], 'Timestamp', 1001) }, /the time at slot 2/],
  ['the weave gets shorter', { log: (log) => set(log[b][4], 'Block-Height', 6) }, /the height at slot 4/],
  ['a message has two slots', { messages: (all) => all[b].push('shared') }, /in the schedule of .* 2 times/],
  ['an acknowledged message is gone', { messages: (all) => { all[a][1].id = id('another') } }, /has no slot/],
  ['a hop is lost', { messages: (all) => all[b].splice(2, 1) }, /hop c 1 did not happen/],
  ['a hop is signed twice', { messages: (all) => all[b].push({ Action: 'Hop', Chain: 'c', N: 3 }) }, /hop c 3 happened 2 times/],
  ['an assignment is lost', { messages: (all) => all[b].pop() }, /share .* did not happen/],
  ['a child is not spawned', { messages: (all) => { delete all[child] } }, /child o did not happen/],
  ['a child is spawned twice', { messages: (all) => { all[id('twin')] = [{ Type: 'Process', Brood: 'o' }] } }, /child o happened 2 times/],
  ['leaves arrive out of order', { messages: (all) => { all[b].splice(3, 2, all[b][4], all[b][3]) } }, /the leaves of f/]
]) test(`it is noticed when ${what}`, () => assert.throws(() => check(change), why))

// Each fate of a request is what its name says.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { FATES, startProxy } from '../lib/proxy.mjs'

const BODY = 'x'.repeat(1000)

/** Draws that lead a request to `fate`, and its connection through; what follows takes no time. */
function drawsFor (fate) {
  if (fate === 'refused') return [0]
  let below = 0
  for (const [name, share] of Object.entries(FATES)) {
    if (name === fate) return [0.5, below + share / 2]
    if (name !== 'refused') below += share
  }
  return [0.5, 0.999]
}

/** What a client hears of a request with that fate, and how often the server has heard it whole. */
async function check (fate, hears, whole, isOn = true) {
  let heard = 0
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => '')
    if (body === BODY) heard++
    response.end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const draws = drawsFor(fate)
  const proxy = await startProxy(server.address().port, () => draws.shift() ?? 0, {})
  proxy.isOn = isOn
  try {
    const answer = await fetch(`http://127.0.0.1:${proxy.port}`, { method: 'POST', body: BODY, headers: { connection: 'close' } })
      .then((response) => response.text()).catch(() => 'nothing')
    assert.equal(answer === BODY ? 'all' : answer, hears)
    assert.equal(heard, whole)
    assert.deepEqual(proxy.counts, isOn && fate !== 'passed' ? { [fate]: 1 } : {})
  } finally {
    await proxy.stop()
    server.closeAllConnections()
    server.close()
  }
}

test('what passes passes', () => check('passed', 'all', 1))
test('nothing happens while faults are off', () => check('refused', 'all', 1, false))
test('a refused connection', () => check('refused', 'nothing', 0))
test('a swallowed request', () => check('swallowed', 'nothing', 0))
test('a late request', () => check('delayed', 'all', 1))
test('a request cut in half', () => check('cut', 'nothing', 0))
test('a lost answer', () => check('unanswered', 'nothing', 1))
test('silence after a request', () => check('silent', 'nothing', 1))
test('half an answer', () => check('halved', 'nothing', 1))

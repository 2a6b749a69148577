// A gateway that answers as a bad one would, in front of a good one: HTTP, on this computer.
import { createServer } from 'node:http'

/** What may happen to something that is posted, and to a question, while faults are on. The rest goes through. */
export const FAULTS = {
  post: { fails: 0.15, busy: 0.1, forgets: 0.1, unanswered: 0.1, silent: 0.03 },
  get: { fails: 0.08, busy: 0.03, unanswered: 0.03, silent: 0.01 }
}

const SILENT_MS = 3_000

/**
 * Listens in front of the gateway at `url`. Answers `{ url, isOn, isReplaced, isLying, counts, stop() }`: set `isOn` for faults,
 * `isReplaced` for a while in which no transaction is in a block any more, and `isLying` for receipts that nobody signed;
 * `counts` are of what happened, by name.
 */
export async function startProxy (url, draw) {
  const proxy = { isOn: false, isReplaced: false, isLying: false, counts: {} }
  const server = createServer((request, response) => carry(proxy, url, draw, request, response).catch(() => response.destroy()))
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  proxy.url = `http://127.0.0.1:${server.address().port}`
  proxy.stop = () => { server.closeAllConnections(); return new Promise((resolve) => server.close(resolve)) }
  return proxy
}

async function carry (proxy, url, draw, request, response) {
  const came = (what) => { proxy.counts[what] = (proxy.counts[what] ?? 0) + 1 }
  const say = (status, text, headers = {}) => response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(text)
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const isPost = request.method === 'POST' && request.url !== '/graphql'
  if (proxy.isReplaced && /^\/tx\/[^/]+\/status$/.test(request.url)) {
    came('replaced')
    return say(202, 'Pending')
  }
  const fate = proxy.isOn ? fateOf(FAULTS[isPost ? 'post' : 'get'], draw()) : 'passed'
  if (fate !== 'passed') came(`${isPost ? 'post' : 'get'} ${fate}`)
  switch (fate) {
    case 'fails': return say(503, 'not now')
    case 'busy': return say(429, 'slower', { 'retry-after': '1' })
    case 'forgets': return say(200, 'OK')
    case 'silent': return void setTimeout(() => response.destroy(), SILENT_MS)
  }
  const { host, connection, 'content-length': _, 'transfer-encoding': __, ...headers } = request.headers
  const answer = await fetch(url + request.url, { method: request.method, headers, body: chunks.length ? Buffer.concat(chunks) : undefined, redirect: 'manual' })
  let body = Buffer.from(await answer.arrayBuffer())
  if (proxy.isLying && isPost && request.url === '/tx') {
    came('lies')
    body = Buffer.from(JSON.stringify({ ...JSON.parse(body), timestamp: 1 }))
  }
  if (fate === 'unanswered') return response.destroy()
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(body)
}

function fateOf (shares, drawn) {
  for (const [fate, share] of Object.entries(shares)) {
    if (drawn < share) return fate
    drawn -= share
  }
  return 'passed'
}

// What an application of the web needs to speak with a node: fetch, and a server for webhooks.
import { createServer } from 'node:http'
import { createHmac } from 'node:crypto'

/** Asks the node; answers status, headers and what the body says. */
export async function ask (url, { method = 'GET', body, headers = {} } = {}) {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
  const response = await fetch(url, { method, headers, ...json })
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').includes('json')
  return { status: response.status, headers: response.headers, said: isJson ? JSON.parse(text) : text }
}

/** Reads server-sent events one by one: `{ id, event, data }`. `close` ends it. */
export async function follow (url, last) {
  const stop = new AbortController()
  const headers = last === undefined ? {} : { 'last-event-id': last }
  const response = await fetch(url, { headers, signal: stop.signal })
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  async function * read () {
    let text = ''
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const fields = text.slice(0, end).split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()])
        text = text.slice(end + 2)
        const field = (name) => fields.find(([key]) => key === name)?.[1]
        if (field('event')) yield { id: field('id'), event: field('event'), data: JSON.parse(field('data') ?? 'null') }
      }
    }
  }
  const events = read()
  return {
    close: () => stop.abort(),
    /** The next event of that name. */
    async next (name = 'message') {
      for (;;) {
        const { value, done } = await events.next()
        if (done) throw new Error(`the stream ended before an event ${name}`)
        if (value.event === name) return value
      }
    },
    async take (count) {
      const taken = []
      while (taken.length < count) taken.push(await this.next())
      return taken
    }
  }
}

/** A receiver of webhooks. `answer(request)` decides the status; what came is in `received`. */
export async function receiver (answer = () => 204) {
  const received = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => { body += piece })
    request.on('end', () => {
      const one = { headers: request.headers, body, said: JSON.parse(body) }
      const status = answer(one, received.length)
      if (status === undefined) return // It never answers.
      received.push({ ...one, status })
      response.writeHead(status).end()
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    received,
    url: `http://127.0.0.1:${server.address().port}/hook`,
    taken: () => received.filter(({ status }) => status < 300),
    close: () => { server.closeAllConnections(); server.close() }
  }
}

/** Whether a request is signed as Standard Webhooks has it. */
export function isSigned ({ headers, body }, secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const good = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
  return headers['webhook-signature'].split(' ').includes(good)
}

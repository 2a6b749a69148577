// A proxy that passes everything on and counts the bytes of the answers.
import { createServer } from 'node:http'

/** Listens in front of `target`; answers `{ url, bytes(), stop() }`. */
export const counting = async (target) => {
  let bytes = 0
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    const { host, connection, 'transfer-encoding': encoding, 'content-length': length, ...headers } = request.headers
    const body = parts.length > 0 ? Buffer.concat(parts) : undefined
    try {
      const answer = await fetch(new URL(request.url, target), { method: request.method, headers, body })
      const whole = Buffer.from(await answer.arrayBuffer())
      bytes += whole.length
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/octet-stream' })
      response.end(whole)
    } catch (error) {
      response.writeHead(502, { 'content-type': 'text/plain' })
      response.end(String(error))
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    bytes: () => bytes,
    stop: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections() })
  }
}

// A network between two programs that loses what it likes: TCP, one listener for each who asks and each who is asked.
//
// A fate is drawn for every request, not for every connection: clients keep theirs open. Whatever a fate does, the bytes
// that do arrive are those that were sent, in their order: this is a bad network, not a liar.
import { connect, createServer } from 'node:net'

/** What may happen to a request, and how often, while faults are on. The rest goes through. */
export const FATES = {
  /** The connection is reset when it is made (drawn for connections). */
  refused: 0.02,
  /** The request goes nowhere; nothing is heard until the connection is reset. */
  swallowed: 0.012,
  /** The request goes through late. */
  delayed: 0.05,
  /** Half of what there is of the request goes through, then the connection is reset. */
  cut: 0.012,
  /** The request goes through, the answer is thrown away, and the connection is reset when it comes. */
  unanswered: 0.015,
  /** The request goes through, and nothing is heard of the answer until the connection is reset. */
  silent: 0.012,
  /** Half of the answer's first piece comes back, then the connection is reset. */
  halved: 0.012
}

const LATE_MS = 1_500
const SILENT_MS = 12_000

/**
 * Listens, and carries everything to `port` of this computer. Answers `{ port, isOn, counts, stop() }`: set `isOn` for
 * faults; `counts` are of fates by name, added to as they come true.
 */
export async function startProxy (port, draw, counts) {
  const proxy = { port: 0, isOn: false, counts }
  const open = new Set()
  const listener = createServer({ noDelay: true }, (client) => carry(proxy, client, port, draw, open))
  await new Promise((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve))
  proxy.port = listener.address().port
  proxy.stop = () => {
    open.forEach((socket) => socket.destroy())
    return new Promise((resolve) => listener.close(resolve))
  }
  return proxy
}

function carry (proxy, client, port, draw, open) {
  const came = (fate) => { proxy.counts[fate] = (proxy.counts[fate] ?? 0) + 1 }
  // A fate is drawn at each point whether faults are on or not: the moment they go on decides nothing about what follows.
  const drawn = draw()
  if (proxy.isOn && drawn < FATES.refused) {
    came('refused')
    client.on('error', () => {})
    return void client.resetAndDestroy()
  }
  const server = connect({ port, host: '127.0.0.1', noDelay: true })
  const sockets = [client, server]
  const timers = new Set()
  sockets.forEach((socket) => open.add(socket))
  let over = false
  const end = (how) => {
    if (over) return
    over = true
    timers.forEach(clearTimeout)
    sockets.forEach(how)
  }
  const reset = () => end((socket) => socket.resetAndDestroy())
  const later = (ms, what) => {
    const timer = setTimeout(() => { timers.delete(timer); if (!over) what() }, ms)
    timers.add(timer)
  }
  const copy = (from, to, bytes) => {
    if (to.write(bytes)) return
    from.pause()
    to.once('drain', () => from.resume())
  }

  let asking = false
  let fate = 'passed'
  client.on('data', (bytes) => {
    if (!asking) {
      asking = true
      fate = fateOf(proxy, draw())
    }
    switch (fate) {
      case 'swallowed':
        if (!timers.size) { came(fate); later(draw() * SILENT_MS, reset) }
        return
      case 'delayed':
        came(fate)
        fate = 'passed'
        client.pause()
        return later(draw() * LATE_MS, () => { server.write(bytes); client.resume() })
      case 'cut':
        came(fate)
        // The half must be on its way before the connection goes.
        return void server.write(bytes.subarray(0, bytes.length >> 1), reset)
      default:
        copy(client, server, bytes)
    }
  })
  server.on('data', (bytes) => {
    asking = false
    switch (fate) {
      case 'unanswered':
        came(fate)
        return reset()
      case 'silent':
        if (!timers.size) { came(fate); later(draw() * SILENT_MS, reset) }
        return
      case 'halved':
        came(fate)
        return void client.write(bytes.subarray(0, bytes.length >> 1), reset)
      default:
        copy(server, client, bytes)
    }
  })
  for (const [socket, other] of [[client, server], [server, client]]) {
    socket.on('end', () => { if (!over) other.end() })
    // Whoever is killed takes the connection with it, on both sides.
    socket.on('error', reset)
    socket.on('close', () => { open.delete(socket); end((socket) => socket.destroySoon()) })
  }
}

function fateOf (proxy, drawn) {
  if (!proxy.isOn) return 'passed'
  for (const [fate, share] of Object.entries(FATES)) {
    if (fate === 'refused') continue
    if (drawn < share) return fate
    drawn -= share
  }
  return 'passed'
}

// A network of five programs on this computer: the weave, a scheduler, a messenger and two compute units, each with a
// disk and a key of its own. Each can be killed and started again where the others look for it.
import { createServer } from 'node:net'
import { join } from 'node:path'
import { startUnit } from './network.mjs'
import { startProxy } from './proxy.mjs'
import { randomFor } from './random.mjs'

/** The units, in the order in which a network is started. */
export const UNITS = ['weave', 'su', 'cu1', 'cu2', 'mu']

const ROLES = { weave: ['gateway', 'bundler'], su: ['su'], cu1: ['cu'], cu2: ['cu'], mu: ['mu'] }

/** How many ports a unit has: the weave is a gateway and a bundler. */
const PORTS = { gateway: 'weave', bundler: 'weave', su: 'su', cu1: 'cu1', cu2: 'cu2', mu: 'mu' }

/**
 * Starts a cluster whose state is in `folder`. With `proxies`, whatever asks anything asks through a proxy of its own.
 * Answers a `Cluster`.
 */
export async function startCluster (folder, { seed, proxies }) {
  const cluster = new Cluster(folder, seed, proxies)
  const names = Object.keys(PORTS)
  const free = await freePorts(names.length)
  names.forEach((name, i) => { cluster.ports[name] = free[i] })
  for (const unit of UNITS) await cluster.start(unit)
  return cluster
}

class Cluster {
  constructor (folder, seed, proxies) {
    Object.assign(this, { folder, seed, hasProxies: proxies })
    this.ports = {}
    this.running = {}
    this.addresses = {}
    this.faults = {}
    this.proxies = new Map()
    this.isOn = false
  }

  /** Where `who` finds the part `of` the network. */
  async url (who, of) {
    if (!this.hasProxies) return this.direct(of)
    const name = `${who} to ${of}`
    if (!this.proxies.has(name)) this.proxies.set(name, startProxy(this.ports[of], randomFor(this.seed, name), this.faults))
    const proxy = await this.proxies.get(name)
    proxy.isOn = this.isOn
    return `http://127.0.0.1:${proxy.port}`
  }

  /** Where it really is. */
  direct (of) { return `http://127.0.0.1:${this.ports[of]}` }

  /** Turns what proxies do on or off. */
  async setFaults (isOn) {
    this.isOn = isOn
    for (const proxy of this.proxies.values()) (await proxy).isOn = isOn
  }

  /** A network as clients see it; they look for outcomes at `cu`. */
  async seenBy (who, cu) {
    return {
      gateway: await this.url(who, 'gateway'),
      mu: await this.url(who, 'mu'),
      cu: await this.url(who, cu),
      addresses: this.addresses,
      authority: this.addresses.mu
    }
  }

  /** Starts a unit, for the first time or again; its ports, its state and its key stay the same. */
  async start (unit) {
    const options = await this.#options(unit)
    const running = await startUnit(ROLES[unit], join(this.folder, unit), options, join(this.folder, `${unit}.log`))
    this.running[unit] = running
    Object.assign(this.addresses, running.addresses)
  }

  /** Another compute unit, with an empty disk: `{ cu, stop() }`. */
  async startFresh () {
    const [port] = await freePorts(1)
    const options = { ...await this.#options('cu1'), 'ports.cu': port, 'remote.gateway': this.direct('gateway'), 'remote.su': this.direct('su') }
    return startUnit(ROLES.cu1, join(this.folder, 'fresh'), options, join(this.folder, 'fresh.log'))
  }

  /** SIGKILL; nothing is said to anybody. */
  kill (unit) { return this.running[unit].kill() }

  async stop () {
    await Promise.all(Object.values(this.running).map((unit) => unit.kill()))
    for (const proxy of this.proxies.values()) await (await proxy).stop()
  }

  /** The unit's metrics without labels, as numbers by name. */
  async metrics (unit) {
    const text = await (await fetch(`${this.direct(unit === 'weave' ? 'gateway' : unit)}/metrics`)).text()
    return Object.fromEntries(text.split('\n').map((line) => line.match(/^(\w+) ([\d.e+-]+)$/)).filter(Boolean).map(([, name, value]) => [name, Number(value)]))
  }

  async #options (unit) {
    const ports = Object.entries(PORTS).filter(([, of]) => of === unit)
    const options = Object.fromEntries(ports.map(([name]) => [`ports.${name.replace(/\d$/, '')}`, this.ports[name]]))
    options['limits.enabled'] = false
    if (unit === 'weave') return options
    options['remote.gateway'] = await this.url(unit, 'gateway')
    options['remote.bundler'] = await this.url(unit, 'bundler')
    // Whoever hears nothing for that long tries again: silences of the network are shorter and longer than this.
    options['client.read_ms'] = unit === 'mu' ? 8_000 : 3_000
    if (unit === 'su') {
      options.scheduler_url = await this.url('whoever looks for it', 'su')
      options['su.weave_timeout_ms'] = 3_000
    } else {
      options['remote.su'] = await this.url(unit, 'su')
    }
    if (unit === 'mu') options['remote.cu'] = await this.url(unit, 'cu1')
    return options
  }
}

/** Ports that nobody has now. */
async function freePorts (n) {
  const servers = await Promise.all(Array.from({ length: n }, () => new Promise((resolve, reject) => {
    const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => resolve(server))
  })))
  const ports = servers.map((server) => server.address().port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

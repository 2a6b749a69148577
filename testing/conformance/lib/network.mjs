// A `pirn dev` of one's own: free ports, state in a temporary folder, stopped at the end.
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** The binary under test; `cargo xtask test` names the one it built. */
export const PIRN = process.env.PIRN_BIN ?? new URL('../../../target/debug/pirn', import.meta.url).pathname

/**
 * Starts a network and waits until it says that it is ready.
 * Answers `{ gateway, bundler, mu, su, cu }` (base URLs), `addresses` by unit, `authority`, `accounts`, `stop()`, `kill()`.
 */
export const startNetwork = (args = []) => start(['dev', '--port', '0', '--json', ...args])

/** Starts a node of some roles; the others are where `remote` says: base URLs by role. Answers as `startNetwork` does. */
export const startNode = (roles, state, remote) => start(
  ['node', '--port', '0', '--json', '--state', state, ...roles.flatMap((role) => ['--roles', role])],
  Object.fromEntries(Object.entries(remote).map(([role, url]) => [`PIRN__REMOTE__${role.toUpperCase()}`, url]))
)

/** Starts a node of some roles with options by name (`{ 'ports.su': 4003 }`); what it complains of goes to the file `log`, too. */
export const startUnit = (roles, state, options, log) => start(
  ['node', '--json', '--state', state, ...roles.flatMap((role) => ['--roles', role])],
  Object.fromEntries(Object.entries(options).map(([name, value]) => [`PIRN__${name.replaceAll('.', '__').toUpperCase()}`, String(value)])),
  log
)

async function start (args, env = {}, log = undefined) {
  const child = spawn(PIRN, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const complaints = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    complaints.push(line)
    if (complaints.length > 200) complaints.shift()
    if (log) appendFileSync(log, `${line}\n`)
  })
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      try { resolve(JSON.parse(line)) } catch (cause) { reject(new Error(`pirn --json printed no JSON: ${line}`, { cause })) }
    })
    exited.then((how) => reject(new Error(`pirn ended before it was ready: ${JSON.stringify(how)}\n${complaints.join('\n')}`)))
  })
  const facts = await ready
  return {
    ...facts.urls,
    addresses: facts.addresses,
    authority: facts.authority,
    accounts: facts.accounts,
    ports: facts.ports,
    pid: child.pid,
    complaints,
    /** Asks it to end, waits for that, and says how it ended. */
    stop: () => { child.kill('SIGINT'); return exited },
    /** Ends it at once, as a power cut would. */
    kill: () => { child.kill('SIGKILL'); return exited }
  }
}

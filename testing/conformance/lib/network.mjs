// A `pirn dev` of one's own: free ports, state in a temporary folder, stopped at the end.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** The binary under test; `cargo xtask test` names the one it built. */
export const PIRN = process.env.PIRN_BIN ?? new URL('../../../target/debug/pirn', import.meta.url).pathname

/**
 * Starts a network and waits until it says that it is ready.
 * Answers `{ gateway, bundler, mu, su, cu }` (base URLs), `addresses` by unit, `authority`, `accounts`, `stop()`, `kill()`.
 */
export async function startNetwork (args = []) {
  const child = spawn(PIRN, ['dev', '--port', '0', '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const complaints = []
  createInterface({ input: child.stderr }).on('line', (line) => { complaints.push(line); if (complaints.length > 200) complaints.shift() })
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      try { resolve(JSON.parse(line)) } catch (cause) { reject(new Error(`pirn dev --json printed no JSON: ${line}`, { cause })) }
    })
    exited.then((how) => reject(new Error(`pirn dev ended before it was ready: ${JSON.stringify(how)}\n${complaints.join('\n')}`)))
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

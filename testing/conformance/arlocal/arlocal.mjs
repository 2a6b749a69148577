// arlocal as it is on npm, in a program of its own. `node arlocal.mjs FOLDER` starts one by hand.
import { spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { install } from './driver.mjs'

const FILE = fileURLToPath(import.meta.url)

/** Starts one with its files in `folder`; what it complains of goes to the file `complaints` there. Answers `{ gateway, stop() }`. */
export async function startArlocal (folder) {
  mkdirSync(folder, { recursive: true })
  // It ends when its input does: so also when whoever started it is gone. Where it runs, it writes a log.
  const child = spawn(process.execPath, [FILE, join(folder, 'weave')], { cwd: folder, stdio: ['pipe', 'pipe', openSync(join(folder, 'complaints'), 'a')] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const port = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve)),
    exited.then((code) => { throw new Error(`arlocal ended with ${code} before it was ready`) })
  ])
  return { gateway: `http://127.0.0.1:${port}`, stop: () => { child.stdin.end(); return exited } }
}

if (process.argv[1] === FILE) {
  install()
  const { default: ArLocal } = createRequire(FILE)('arlocal')
  // What it says of itself is no answer of ours.
  console.log = () => {}
  const arlocal = new ArLocal(await freePort(), false, process.argv[2], false)
  await arlocal.start()
  const server = arlocal.getServer()
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
  process.stdout.write(`${server.address().port}\n`)
  process.stdin.resume().once('end', () => process.exit(0))
}

/** It takes no port 0 for any. */
async function freePort () {
  const server = await new Promise((resolve, reject) => {
    const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => resolve(server))
  })
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

// The same programs on aos 2.0.6 and on the Lua module of this repository, by the same interface.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { MODULES, modulePath } from '../lib/modules.mjs'
import { PIRN } from '../lib/network.mjs'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const compare = (...args) => {
  const done = spawnSync(process.execPath, [path('../../lua/compare.mjs'), ...args], { encoding: 'utf8', maxBuffer: 1 << 30 })
  assert.equal(done.error, undefined)
  return done
}

test('our Lua answers as aos does, but for what is known', () => {
  const { status, stdout, stderr } = compare(
    '--pirn', PIRN,
    '--aos', modulePath(MODULES['aos 2.0.6 (64-bit)']),
    '--ours', path('../../../crates/runtime/lua/pirn-lua.wasm'), '--format', 'wasm32-unknown-emscripten4'
  )
  assert.equal(status, 0, stdout + stderr)
  const [, same, known] = stdout.match(/(\d+) the same, (\d+) different and known, 0 different\n$/)
  assert.ok(Number(same) > 300 && Number(known) > 0, stdout)
})

test('docs/lua-differences.md lists what is known, with the reasons', () => {
  const { status, stdout, stderr } = compare('--list')
  assert.equal(status, 0, stderr)
  const page = path('../../../docs/lua-differences.md')
  if (process.env.UPDATE) writeFileSync(page, stdout)
  assert.equal(readFileSync(page, 'utf8'), stdout, 'run: UPDATE=1 node --test, in testing/conformance/lua')
})

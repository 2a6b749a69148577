// What the adapter promises of its own, whoever evaluates.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import AoLoader from './index.cjs'
import { moduleBytes } from '../lib/modules.mjs'

const bytes = moduleBytes({ file: 'aos2_0_4_32.wasm' })
const options = { format: 'wasm32-unknown-emscripten4' }
const env = { Process: { Id: '1', Owner: 'O', Tags: [] } }
const message = (Data) => ({ Target: '1', From: 'O', Owner: 'O', Module: 'M', Id: '1', 'Block-Height': '1', Timestamp: 1, Tags: [{ name: 'Action', value: 'Eval' }], Data })

test('a memory of another handle, or of earlier, is gone on from', async () => {
  const [one, other] = [await AoLoader(bytes, options), await AoLoader(bytes, options)]
  const first = await one(null, message('n = 1 return n'), env)
  const second = await one(first.Memory, message('n = n + 1 return n'), env)
  assert.equal(second.Output.data, '2')
  for (const handle of [other, one]) {
    const again = await handle(first.Memory, message('n = n + 1 return n'), env)
    assert.deepEqual(again.Output, second.Output)
    assert.deepEqual(Buffer.from(again.Memory), Buffer.from(second.Memory))
  }
})

test('a module that the caller instantiates is recognised', async () => {
  const module = await WebAssembly.compile(bytes)
  const handle = await AoLoader((imports, receive) => {
    WebAssembly.instantiate(module, imports).then(receive)
  }, options)
  assert.equal((await handle(null, message('return 7'), env)).Output.data, '7')
})

test('an unsafe memory is a token for the handle it came from', async () => {
  const handle = await AoLoader(bytes, { ...options, UNSAFE_MEMORY: true })
  const first = await handle(null, message('n = 5 return n'), env)
  assert.ok(first.Memory)
  assert.equal((await handle(first.Memory, message('return n'), env)).Output.data, '5')
})

test('a message without gas is thrown', async () => {
  const handle = await AoLoader(bytes, { ...options, computeLimit: 1_000_000 })
  await assert.rejects(handle(null, message('return 1'), env), { message: 'out of gas!' })
})

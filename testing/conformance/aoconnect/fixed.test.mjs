// Programs that name a fixed module and a fixed Scheduler run unmodified where `pirn dev` was told both.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { startNetwork } from '../lib/network.mjs'
import { wallet } from '../lib/wallets.mjs'
import { MODULES, modulePath } from '../lib/modules.mjs'
import { client } from '../lib/ao.mjs'

const MODULE = 'WASM32-D8q2OmZ4Mok00sD2Y_6SYEQ7Hjx-6VZ_jl3g'
const SCHEDULER = '_GQ33BkPtZrqxA84vM8Zk-N2aO0toNNu_C-l-rawrBA'

let state, network
before(() => { state = mkdtempSync(join(tmpdir(), 'pirn-')) })
after(async () => { await network?.stop(); rmSync(state, { recursive: true }) })

test('a process of a fixed module and Scheduler runs, and goes on after a restart without the flags', async () => {
  const file = modulePath(MODULES['aos 2.0.4 (32-bit)'])
  network = await startNetwork(['--state', state, '--module', `${file}=${MODULE}`, '--scheduler', SCHEDULER])
  let ada = client(network, wallet(0), { aoconnect, Arweave })
  const spawn = () => ada.ao.spawn({
    module: MODULE, scheduler: SCHEDULER, signer: ada.signer, tags: [{ name: 'Authority', value: network.authority }]
  })
  const process = await spawn()
  assert.equal(await ada.value(process, 'Count = (Count or 0) + 1; return Count'), '1')
  assert.equal(await ada.value(process, 'ao.env.Module.Id'), MODULE)

  assert.equal((await network.stop()).code, 0)
  network = await startNetwork(['--state', state])
  ada = client(network, wallet(0), { aoconnect, Arweave })
  assert.equal(await ada.value(process, 'Count = (Count or 0) + 1; return Count'), '2')
  assert.equal(await ada.value(await spawn(), '1 + 1'), '2')
})

test('a network that was told nothing refuses that Scheduler', async () => {
  const plain = await startNetwork()
  try {
    const ada = client(plain, wallet(0), { aoconnect, Arweave })
    const module = await ada.publish(MODULES['aos 2.0.4 (32-bit)'])
    await assert.rejects(ada.ao.spawn({ module, scheduler: SCHEDULER, signer: ada.signer }))
  } finally {
    await plain.stop()
  }
})

// ao-scheduler-utils finds the network's scheduler by what the network published about it.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from '@permaweb/ao-scheduler-utils'
import { startNetwork } from '../lib/network.mjs'
import { wallet } from '../lib/wallets.mjs'
import { dataItem, tagsOf } from '../lib/items.mjs'

let network, utils
before(async () => {
  network = await startNetwork()
  utils = connect({ GRAPHQL_URL: `${network.gateway}/graphql`, cacheSize: 10, followRedirects: true })
})
after(() => network.stop())

test('the network has a scheduler that published where it is', async () => {
  assert.equal(await utils.validate(network.addresses.su), true)
  assert.equal((await utils.raw(network.addresses.su)).url, network.su)
})

test('a wallet that published nothing is no scheduler', async () => {
  const nobody = dataItem(wallet(9), {}).id
  await assert.rejects(utils.validate(nobody), /Could not find 'Scheduler-Location'/)
})

test('a process is located by its Scheduler tag, and straight away with a hint', async () => {
  const item = dataItem(wallet(0), {
    anchor: null,
    tags: tagsOf({
      'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Process', Scheduler: network.addresses.su,
      Module: 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI'
    })
  })
  const response = await fetch(`${network.bundler}/tx`, { method: 'POST', body: item.raw })
  assert.equal(response.status, 200)
  const located = await utils.locate(item.id, network.addresses.su)
  assert.equal(located.url, network.su)
})

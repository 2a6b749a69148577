// @ar.io/sdk reads processes through the compute unit, and asks the gateway what they were spawned of.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { ANT, AOProcess, ARIO, ArweaveSigner, createAoSigner } from '@ar.io/sdk/node'
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { MODULES } from '../lib/modules.mjs'
import { client } from '../lib/ao.mjs'

let network, ada, module, registry, name
const holder = addressOf(wallet(1))

// As much of a registry and of a name as the SDK reads: it is the client that is tested, and their answers' way.
const REGISTRY = `
  local json = require('json')
  Balances = { ['${holder}'] = 1500000 }
  Records = { pirn = { processId = ao.id, type = 'permabuy', startTimestamp = 1, undernameLimit = 10, purchasePrice = 5 } }
  local function answer(action, value)
    Handlers.add(action, Handlers.utils.hasMatchingTag('Action', action), function (m)
      ao.send({ Target = m.From, Action = action .. '-Notice', Data = json.encode(value(m)) })
    end)
  end
  answer('Info', function () return { Name = 'Registry', Ticker = 'tREG', Denomination = 6, Handlers = { 'Info' } } end)
  answer('Balance', function (m) return Balances[m.Tags.Address] or 0 end)
  answer('Record', function (m) return Records[m.Tags.Name] end)
  answer('Total-Token-Supply', function () return 1000000000000 end)
  answer('Paginated-Records', function (m)
    local items = {}
    for name, record in pairs(Records) do
      local item = { name = name }
      for key, value in pairs(record) do item[key] = value end
      table.insert(items, item)
    end
    return { items = items, hasMore = false, totalItems = #items, limit = tonumber(m.Tags.Limit) or 100, sortBy = 'name', sortOrder = 'asc' }
  end)
  answer('Redelegation-Fee', function () error('on purpose') end)
  return 'ready'`
const NAME = `
  local json = require('json')
  local state = { Name = 'pirn', Ticker = 'ANT-PIRN', Description = 'a name', Keywords = { 'x' }, Denomination = 0,
    Owner = Owner, Controllers = { Owner }, Records = { ['@'] = { transactionId = ao.id, ttlSeconds = 900 } },
    Balances = { [Owner] = 1 }, Logo = ao.id, TotalSupply = 1, Initialized = true }
  Handlers.add('State', Handlers.utils.hasMatchingTag('Action', 'State'), function (m)
    ao.send({ Target = m.From, Action = 'State-Notice', Data = json.encode(state) })
  end)
  Handlers.add('Record', Handlers.utils.hasMatchingTag('Action', 'Record'), function (m)
    ao.send({ Target = m.From, Action = 'Record-Notice', Data = json.encode(state.Records[m.Tags['Sub-Domain']]) })
  end)
  return 'ready'`

before(async () => {
  network = await startNetwork()
  ada = client(network, wallet(0), { aoconnect, Arweave })
  module = await ada.publish(MODULES['aos 2.0.6 (64-bit)'])
  registry = await ada.spawn(module)
  name = await ada.spawn(module)
  assert.equal(await ada.value(registry, REGISTRY), 'ready')
  assert.equal(await ada.value(name, NAME), 'ready')
})
after(() => network.stop())

const process = (processId) => new AOProcess({ processId, ao: ada.ao })

describe('ARIO', () => {
  const ario = () => ARIO.init({ process: process(registry) })
  test('reads who it is', async () => {
    const info = await ario().getInfo()
    assert.deepEqual([info.Name, info.Ticker, info.Denomination], ['Registry', 'tREG', 6])
  })
  test('reads balances', async () => {
    assert.equal(await ario().getBalance({ address: holder }), 1500000)
    assert.equal(await ario().getBalance({ address: addressOf(wallet(2)) }), 0)
  })
  test('reads records, one and all', async () => {
    const record = await ario().getArNSRecord({ name: 'pirn' })
    assert.equal(record.processId, registry)
    assert.equal(await ario().getArNSRecord({ name: 'nobody' }), undefined)
    const page = await ario().getArNSRecords({ limit: 5 })
    assert.deepEqual([page.totalItems, page.items[0].name], [1, 'pirn'])
  })
  test('hears of what fails', async () => {
    await assert.rejects(process(registry).read({ tags: [{ name: 'Action', value: 'Redelegation-Fee' }], retries: 1 }), /on purpose/)
    await assert.rejects(process(registry).read({ tags: [{ name: 'Action', value: 'Unknown' }], retries: 1 }))
  })
})

describe('ANT', () => {
  const ant = () => ANT.init({ process: process(name), processId: name })
  test('reads its state', async () => {
    const state = await ant().getState()
    assert.equal(state.Name, 'pirn')
    assert.equal(state.Owner, addressOf(wallet(0)))
    assert.equal((await ant().getRecord({ undername: '@' })).transactionId, name)
  })
  test('finds the module it was spawned of, by the gateway', async () => {
    assert.equal(await ant().getModuleId({ graphqlUrl: `${network.gateway}/graphql` }), module)
  })
})

test('what the SDK sends is scheduled', async () => {
  const { id } = await process(name).send({
    tags: [{ name: 'Action', value: 'Eval' }], data: 'return 1 + 1', signer: createAoSigner(new ArweaveSigner(wallet(0)))
  })
  const result = await ada.ao.result({ process: name, message: id })
  assert.equal(String(result.Output.data.output ?? result.Output.data), '2')
})

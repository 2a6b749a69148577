// aoconnect in legacy mode does everything it can against a network that nobody prepared for it.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as aoconnect from '@permaweb/aoconnect'
import Arweave from 'arweave'
import { startNetwork } from '../lib/network.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { MODULES } from '../lib/modules.mjs'
import { client, plain } from '../lib/ao.mjs'
import { until } from '../lib/until.mjs'

let network, ada, ben, module

before(async () => {
  network = await startNetwork()
  ada = client(network, wallet(0), { aoconnect, Arweave })
  ben = client(network, wallet(1), { aoconnect, Arweave })
  module = await ada.publish(MODULES['aos 2.0.6 (64-bit)'])
})
after(() => network.stop())

describe('every module boots, evaluates and keeps its state', () => {
  for (const [name, which] of Object.entries(MODULES)) {
    test(name, async () => {
      const id = await ada.publish(which)
      const process = await ada.spawn(id, [{ name: 'Name', value: 'demo' }])
      assert.match(process, /^[\w-]{43}$/)
      assert.equal(await ada.value(process, '1 + 1'), '2')
      assert.equal(await ada.value(process, 'Count = (Count or 0) + 1; return Count'), '1')
      assert.equal(await ada.value(process, 'Count = (Count or 0) + 1; return Count'), '2')
      assert.equal(await ada.value(process, 'ao.id'), process)
      const failed = await ada.eval(process, 'error("on purpose")')
      assert.match(plain(JSON.stringify(failed.Error ?? failed.Output)), /on purpose/)
      // Some modules warn that a slot passed them by.
      assert.match(await ada.value(process, 'return Count'), /(^|\n)2$/, 'a failed message leaves the state alone')
    })
  }
  test('sqlite answers a query inside the process', async () => {
    const id = await ada.publish(MODULES['aos with sqlite (64-bit)'])
    const process = await ada.spawn(id)
    await ada.value(process, `
      local sqlite = require('lsqlite3'); DB = sqlite.open_memory()
      DB:exec("create table t (name text, n integer); insert into t values ('ada', 1), ('ben', 2)")
      return 'made'`)
    assert.equal(await ada.value(process, `
      local sum = 0; for row in DB:nrows('select n from t') do sum = sum + row.n end; return sum`), '3')
  })
})

describe('one process, all verbs', () => {
  let process
  const sent = []

  before(async () => {
    process = await ada.spawn(module)
    for (let i = 1; i <= 5; i++) sent.push(await ada.send(process, { Action: 'Eval' }, `Count = (Count or 0) + 1; return Count`))
    await ada.ao.result({ message: sent.at(-1), process })
  })

  test('a message is answered by its own result, again and again', async () => {
    for (const [i, message] of sent.entries()) {
      const result = await ada.ao.result({ message, process })
      assert.equal(plain(result.Output.data), String(i + 1))
      assert.deepEqual(Object.keys(result).sort(), ['Assignments', 'GasUsed', 'Messages', 'Output', 'Spawns'])
    }
  })

  test('results come in both orders, page by page', async () => {
    const all = await ada.ao.results({ process, limit: 100 })
    assert.equal(all.edges.length, 6, 'the boot and five messages')
    const values = (page) => page.edges.map(({ node }) => plain(node.Output.data))
    assert.deepEqual(values(all).slice(1), ['1', '2', '3', '4', '5'])

    const down = await ada.ao.results({ process, sort: 'DESC', limit: 2 })
    assert.deepEqual(values(down), ['5', '4'])

    const first = await ada.ao.results({ process, sort: 'ASC', limit: 3 })
    const second = await ada.ao.results({ process, sort: 'ASC', limit: 3, from: first.edges.at(-1).cursor })
    assert.deepEqual([...values(first), ...values(second)].slice(1), ['1', '2', '3', '4', '5'])

    const upTo = await ada.ao.results({ process, to: first.edges.at(-1).cursor })
    assert.deepEqual(values(upTo), values(first), 'to is inclusive')
    const cursor = JSON.parse(Buffer.from(first.edges[0].cursor, 'base64').toString())
    assert.deepEqual(Object.keys(cursor), ['timestamp', 'ordinate', 'cron', 'sort'])
    assert.equal(cursor.ordinate, '0')
  })

  test('a dry run answers and leaves no trace', async () => {
    const dry = (data) => ada.ao.dryrun({ process, data, tags: [{ name: 'Action', value: 'Eval' }], Owner: addressOf(wallet(0)) })
    assert.equal(plain((await dry('Count = 999; return Count')).Output.data), '999')
    assert.equal(plain((await dry('return Count')).Output.data), '5')
    assert.equal(await ada.value(process, 'return Count'), '5')
  })

  test('a stranger cannot evaluate', async () => {
    const result = await ben.eval(process, 'Count = 1000')
    assert.match(plain(JSON.stringify(result.Output)), /New Message From/)
    assert.equal(await ada.value(process, 'return Count'), '5')
  })

  test('a message can be assigned to another process', async () => {
    const other = await ada.spawn(module)
    const message = await ada.send(process, { Action: 'Letter' }, 'for both')
    await ada.value(other, `ao.addAssignable('letters', function () return true end); return 'ok'`)
    const assignment = await ada.ao.assign({ process: other, message })
    assert.match(assignment, /^[\w-]{43}$/)
    const result = await ada.ao.result({ process: other, message: assignment })
    assert.ok(!result.error, JSON.stringify(result))
    assert.equal(await ada.value(other, 'return Inbox[#Inbox].Data'), 'for both')
    assert.equal(await ada.value(other, 'return Inbox[#Inbox].Target'), process)
    const again = await ada.ao.assign({ process: other, message })
    assert.equal(again, assignment, 'the same thing assigned again keeps its slot')
    const secret = await ada.send(process, { Action: 'Letter' }, 'not for all')
    const without = await ada.ao.assign({ process: other, message: secret, exclude: ['Data', 'Anchor'] })
    await ada.ao.result({ process: other, message: without })
    assert.equal(await ada.value(other, 'return Inbox[#Inbox].Id'), secret)
    assert.equal(await ada.value(other, 'return tostring(Inbox[#Inbox].Data)'), 'nil')
  })

  test('a repeated item keeps its first slot', async () => {
    const { id, raw } = await ada.ao.signMessage({
      process, signer: ada.signer, data: 'once', anchor: 'a'.repeat(32), tags: [{ name: 'Action', value: 'Once' }]
    })
    assert.equal(await ada.ao.sendSignedMessage({ id, raw }), id)
    const first = await (await fetch(`${network.su}/${id}?process-id=${process}`)).json()
    assert.equal(await ada.ao.sendSignedMessage({ id, raw }), id)
    assert.deepEqual(await (await fetch(`${network.su}/${id}?process-id=${process}`)).json(), first)
  })
})

describe('processes among themselves', () => {
  let a, b
  before(async () => { a = await ada.spawn(module); b = await ada.spawn(module) })

  test('a message reaches the other process and its reply comes back', async () => {
    await ada.value(b, `Handlers.add('ping', 'Ping', function (m) m.reply({ Action = 'Pong', Data = 'pong ' .. m.Data }) end); return 'ok'`)
    await ada.value(a, `Handlers.add('pong', 'Pong', function (m) Answer = m.Data .. ' from ' .. m.From end); return 'ok'`)
    await ada.value(a, `Send({ Target = '${b}', Action = 'Ping', Data = 'one' }); return 'sent'`)
    await ada.becomes(a, 'Answer', `pong one from ${b}`)
  })

  test('receive waits for the reply', async () => {
    await ada.send(a, { Action: 'Eval' }, `local reply = Send({ Target = '${b}', Action = 'Ping', Data = 'two' }).receive(); Received = reply.Data`)
    await ada.becomes(a, 'Received', 'pong two')
  })

  test('messages of one result arrive in their order', async () => {
    await ada.value(b, `Order = {}; Handlers.add('n', 'Number', function (m) table.insert(Order, m.Tags.N) end); return 'ok'`)
    await ada.value(a, `for i = 1, 20 do Send({ Target = '${b}', Action = 'Number', N = tostring(i) }) end; return 'sent'`)
    const wanted = Array.from({ length: 20 }, (_, i) => i + 1).join(',')
    await ada.becomes(b, `table.concat(Order, ',')`, wanted)
  })

  test('a process spawns a process and talks to it', async () => {
    await ada.send(a, { Action: 'Eval' }, `
      local spawned = Spawn('${module}', { Data = 'child', Tags = { Authority = '${network.authority}', Name = 'child' } }).receive()
      Child = spawned.Tags.Process or spawned.Process`)
    const child = await until('no child', async () => { const id = await ada.value(a, 'return tostring(Child)'); return id.length === 43 && id })
    const record = await (await fetch(`${network.su}/processes/${child}`)).json()
    assert.ok(record.tags.some((tag) => tag.name === 'From-Process' && tag.value === a))
    assert.equal(record.owner.address, network.authority)
    await ada.value(a, `Handlers.add('hello', 'Hello', function (m) Greeted = m.From end); return 'ok'`)
    await ada.value(a, `Send({ Target = Child, Action = 'Eval', Data = "Send({ Target = '${a}', Action = 'Hello' })" }); return 'sent'`)
    await ada.becomes(a, 'Greeted', child)
  })

  test('a process assigns a message to another', async () => {
    const message = await ada.send(a, { Action: 'Memo' }, 'shared memo')
    await ada.value(b, `ao.addAssignable('all', function () return true end); return 'ok'`)
    await ada.value(a, `Assign({ Processes = { '${b}' }, Message = '${message}' }); return 'assigned'`)
    await ada.becomes(b, `(function () for _, m in ipairs(Inbox) do if m.Id == '${message}' then return m.Data end end end)()`, 'shared memo')
  })

  test('a token moves between two processes and the supply is conserved', async () => {
    const token = `
      Balances = Balances or {}
      Handlers.add('transfer', 'Transfer', function (m)
        local n = tonumber(m.Tags.Quantity)
        assert((Balances[m.From] or 0) >= n, 'insufficient')
        Balances[m.From] = Balances[m.From] - n
        Balances[m.Tags.Recipient] = (Balances[m.Tags.Recipient] or 0) + n
        Send({ Target = m.From, Action = 'Debit-Notice', Quantity = m.Tags.Quantity })
        Send({ Target = m.Tags.Recipient, Action = 'Credit-Notice', Quantity = m.Tags.Quantity })
      end); return 'ok'`
    const bank = await ada.spawn(module)
    await ada.value(bank, token)
    await ada.value(bank, `Balances['${a}'] = 100; return 'minted'`)
    await ada.value(b, `Handlers.add('credit', 'Credit-Notice', function (m) Credit = m.Tags.Quantity end); return 'ok'`)
    await ada.value(a, `Handlers.add('debit', 'Debit-Notice', function (m) Debit = m.Tags.Quantity end); return 'ok'`)
    await ada.value(a, `Send({ Target = '${bank}', Action = 'Transfer', Recipient = '${b}', Quantity = '30' }); return 'sent'`)
    await ada.becomes(b, 'tostring(Credit)', '30')
    await ada.becomes(a, 'tostring(Debit)', '30')
    assert.equal(await ada.value(bank, `return Balances['${a}'] .. '+' .. Balances['${b}']`), '70+30')
  })
})

describe('cron', () => {
  test('a process ticks once it is monitored, and stops', async () => {
    const process = await ada.spawn(module, [
      { name: 'Cron-Interval', value: '1-second' }, { name: 'Cron-Tag-Action', value: 'Tick' }
    ])
    const target = await ada.spawn(module)
    await ada.value(target, `Ticks = 0; Handlers.add('tock', 'Tock', function () Ticks = Ticks + 1 end); return 'ok'`)
    await ada.value(process, `Handlers.add('tick', 'Tick', function (m) Send({ Target = '${target}', Action = 'Tock' }) end); return 'ok'`)
    await assert.rejects(ben.ao.monitor({ process, signer: ben.signer }), /40\d/, 'only the owner may monitor')
    await ada.ao.monitor({ process, signer: ada.signer })
    await until('no tick was pushed', async () => Number(await ada.value(target, 'return Ticks')) >= 2)
    const page = await ada.ao.results({ process, sort: 'DESC', limit: 100 })
    const ticks = page.edges.filter(({ cursor }) => JSON.parse(Buffer.from(cursor, 'base64')).cron)
    assert.ok(ticks.length >= 2, 'cron outcomes are among the results')
    assert.equal(ticks[0].node.Messages[0].Target, target)
    await assert.rejects(ben.ao.unmonitor({ process, signer: ben.signer }), /40\d/, 'only the owner may stop it')
    await ada.ao.unmonitor({ process, signer: ada.signer })
  })
})

describe('an endless loop', () => {
  test('ends, names itself, and hurts no other process', { timeout: 600_000 }, async () => {
    const [looper, bystander] = [await ada.spawn(module, [{ name: 'Compute-Limit', value: '900000000000' }]), await ada.spawn(module)]
    assert.equal(await ada.value(looper, 'Kept = 7; return Kept'), '7')
    const message = await ada.send(looper, { Action: 'Eval' }, 'while true do end')
    assert.equal(await ada.value(bystander, '1 + 1'), '2', 'another process answers meanwhile')
    const result = await ada.ao.result({ process: looper, message })
    assert.match(JSON.stringify(result.Error), /gas|Compute-Limit/)
    assert.equal(await ada.value(looper, 'return Kept'), '7')
  })
})

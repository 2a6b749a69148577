// The agents of processes/agents on a network of their own, with real tokens, for 24 hours of a clock that is moved. The
// node is killed in the middle of ticks. In the end no token is lost, each agent has what it thinks that it has and
// stayed in its budget, and the whole life of every process is verified from the weave alone.
//
// AGENTS_SEED decides who does what; the output says it.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataItem, tagsOf } from '../lib/items.mjs'
import { PIRN, startNetwork } from '../lib/network.mjs'
import { pick, randomFor } from '../lib/random.mjs'
import { until } from '../lib/until.mjs'
import { addressOf, wallet } from '../lib/wallets.mjs'

const SEED = Number(process.env.AGENTS_SEED ?? Math.floor(Math.random() * 1e9))
const STEPS = 96 // of a quarter of an hour, in which each agent has its tick
const KILLS = [20, 45, 70]
const PROCESSES = new URL('../../../processes/', import.meta.url).pathname
const SUPPLY = 100_000_000n
const [ada, ben, cleo, dan, eve] = [0, 1, 2, 3, 4].map((n) => ({ jwk: wallet(n), address: addressOf(wallet(n)) }))

const folder = mkdtempSync(join(tmpdir(), 'pirn-agents-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** These have timers in pirn.toml, whose ticks their scheduler signs; the others have crons. */
const TIMED = ['dca', 'market-maker', 'watcher', 'notifier']

/** The agents as a project of two more processes, their tokens, and with ticks that are further apart. */
function project () {
  const at = join(folder, 'agents')
  cpSync(join(PROCESSES, 'agents'), at, { recursive: true })
  cpSync(join(PROCESSES, 'blueprints/token.lua'), join(at, 'token.lua'))
  let toml = readFileSync(join(at, 'pirn.toml'), 'utf8').replaceAll(/"\d+-minutes?"/g, '"15-minutes"')
  for (const name of ['gold', 'coin']) {
    const balances = [ada, ben, cleo, dan].map(({ address }) => `["${address}"] = "${SUPPLY / 4n}"`).join(', ')
    writeFileSync(join(at, `${name}.lua`), `require("lib.once")\nBalances = Balances or { ${balances} }\nTicker = "${name.toUpperCase()}"\nrequire("token")\n`)
    toml += `\n[processes.${name}]\nsource = "${name}.lua"\n`
  }
  writeFileSync(join(at, 'pirn.toml'), toml)
  return at
}

test(`a day of agents, seed ${SEED}`, { timeout: 600_000 }, async (t) => {
  t.diagnostic(`AGENTS_SEED=${SEED} node --test`)
  const draw = randomFor(SEED, 'agents')
  const between = (low, high) => low + Math.floor(draw() * (high - low + 1))
  const at = project()
  const state = join(folder, 'state')
  let network = await startNetwork(['--state', state, '--clock', 'manual', '--no-up'])
  try {
    const pirn = (...args) => new Promise((resolve, reject) => {
      const env = { ...process.env, ...Object.fromEntries(['gateway', 'bundler', 'mu', 'su', 'cu'].map((unit) => [`${unit.toUpperCase()}_URL`, network[unit]])) }
      execFile(PIRN, [...args, '--json'], { cwd: at, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => error ? reject(new Error(`pirn ${args.join(' ')}: ${stdout}${stderr}`)) : resolve(JSON.parse(stdout)))
    })
    const get = async (url, init) => {
      const answer = await fetch(url, init)
      assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`)
      return answer.json()
    }
    const post = (url, body) => get(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

    const id = Object.fromEntries((await pirn('up')).map(({ name, process }) => [name, process]))
    const { amm, dca, rfq, lending, watcher, prediction, notifier, gold, coin } = id
    const book = id['order-book']; const maker = id['market-maker']

    /** Signed once, posted until it is taken: the node may be killed before it answers. */
    const send = async (who, target, tags) => {
      const item = dataItem(who.jwk, { target, tags: tagsOf({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Message', ...tags }), data: ' ' })
      const answer = await fetch(network.mu, { method: 'POST', headers: { 'content-type': 'application/octet-stream', accept: 'application/json' }, body: item.raw })
      assert.ok(answer.ok, `${answer.status} ${await answer.text()}`)
    }
    const transfer = (token, who, to, quantity, tags = {}) => send(who, token, { Action: 'Transfer', Recipient: to, Quantity: quantity, ...tags })
    const global = (process, path) => get(`${network.gateway}/api/v1/processes/${process}/state/${path}`)
    const now = async () => (await get(`${network.gateway}/api/v1/dev/clock`)).now
    const quiet = () => until('messages are still on their way', async () => {
      for (let n = 0; n < 2; n++) {
        if ((await get(`${network.mu}/api/v1/outbox`)).entries.length > 0) return false
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
      return true
    }, 60)
    let sequence = 0
    const say = async (who, process, name, value) => {
      sequence += 1
      await send(who, process, { Action: 'Feed', 'Feed-Name': name, 'Feed-Value': value, 'Feed-Time': await now(), 'Feed-Sequence': sequence })
    }

    const feeders = { Feeders: `${dan.address},${eve.address},${cleo.address}`, Quorum: 2, 'Max-Age': 7_200_000 }
    const began = await now()
    await send(ada, amm, { Action: 'Configure', 'Token-A': coin, 'Token-B': gold })
    await send(ada, dca, { Action: 'Configure', 'Pay-Token': coin, 'Buy-Token': gold, Pool: amm, Amount: 1000, Budget: 60_000, Slippage: 500 })
    await send(ada, book, { Action: 'Configure', Base: gold, Quote: coin, Lot: 10, Fee: 10 })
    await send(ada, maker, { Action: 'Configure', Book: book, Base: gold, Quote: coin, Lot: 10, Lots: 20, 'Most-Base': 9000, Spread: 100, ...feeders })
    await send(ada, rfq, { Action: 'Configure', Base: gold, Quote: coin, Lot: 10, Life: 1_200_000, ...feeders })
    await send(ada, lending, { Action: 'Configure', Collateral: gold, Debt: coin, Lot: 10, ...feeders })
    await send(ada, watcher, { Action: 'Configure', Lending: lending, Collateral: gold, Debt: coin, Each: 5000, Budget: 20_000 })
    await send(ada, prediction, { Action: 'Configure', Token: coin, Question: 'Does gold rise?', Closes: began + 12 * 3_600_000, 'Invalid-After': began + 48 * 3_600_000, Feeders: feeders.Feeders, Quorum: 2 })
    await send(ada, notifier, { Action: 'Configure', Token: coin, Ledger: gold, Price: 10, Period: 3_600_000 })
    await quiet()
    await transfer(coin, ada, amm, 400_000, { 'X-Action': 'Provide' })
    await transfer(gold, ada, amm, 4000, { 'X-Action': 'Provide' })
    await transfer(coin, ada, dca, 200_000)
    await transfer(coin, ada, maker, 500_000)
    await transfer(gold, ada, maker, 5000)
    await transfer(coin, ada, rfq, 500_000)
    await transfer(gold, ada, rfq, 5000)
    await transfer(coin, ada, lending, 500_000, { 'X-Action': 'Fund' })
    await transfer(coin, ada, watcher, 100_000)
    await transfer(coin, ben, notifier, 100, { 'X-Action': 'Subscribe', 'X-Watch': amm })
    await transfer(coin, cleo, prediction, 5000, { 'X-Action': 'Mint' })
    await quiet()
    await send(ada, amm, { Action: 'Provide' })
    await quiet()

    let price = 1000
    const acts = [
      (who) => transfer(coin, who, amm, between(0, 20_000), { 'X-Action': 'Swap', 'X-Min-Output': between(0, 100) }),
      (who) => transfer(gold, who, amm, between(0, 200), { 'X-Action': 'Swap', 'X-Min-Output': 1 }),
      (who) => transfer(coin, who, book, between(1, 9) * (price + 50), { 'X-Action': 'Order', 'X-Side': 'buy', 'X-Price': price + 50, 'X-Type': pick(draw, ['ioc', 'limit']) }),
      (who) => transfer(gold, who, book, between(1, 90), { 'X-Action': 'Order', 'X-Side': 'sell', 'X-Price': Math.max(1, price - 50), 'X-Type': pick(draw, ['ioc', 'limit']) }),
      (who) => send(who, book, { Action: 'Cancel-All' }),
      (who) => transfer(gold, who, lending, between(1, 100), { 'X-Action': 'Collateral' }),
      (who) => send(who, lending, { Action: 'Borrow', Quantity: between(1, 5000) }),
      (who) => transfer(coin, who, notifier, between(0, 30), { 'X-Action': 'Subscribe', 'X-Watch': pick(draw, [amm, maker]) }),
      (who) => transfer(coin, who, prediction, between(0, 3000), { 'X-Action': 'Mint' }),
      (who) => send(who, prediction, { Action: 'Move', Outcome: pick(draw, ['yes', 'no']), Quantity: between(1, 900), Recipient: pick(draw, [ben, cleo]).address }),
      (who) => send(who, prediction, { Action: 'Merge', Quantity: between(1, 300) }),
      async (who) => {
        await send(who, rfq, { Action: 'Request-Quote', Side: pick(draw, ['buy', 'sell']), Lots: between(1, 20) })
        await quiet()
        for (const quote of Object.values(await global(rfq, 'Quotes'))) {
          const owner = [ben, cleo].find(({ address }) => address === quote.account)
          await transfer(quote.take, owner, rfq, quote.take_quantity, { 'X-Action': 'Accept', 'X-Quote': quote.id })
        }
      },
      // What none of them may fall for.
      (who) => send(who, pick(draw, [amm, book, rfq, lending, prediction, notifier, dca]), { Action: 'Credit-Notice', Sender: who.address, Quantity: 1_000_000, 'X-Action': pick(draw, ['Swap', 'Order', 'Mint', 'Fund', 'Subscribe']), 'X-Min-Output': 1, 'X-Side': 'buy', 'X-Price': 1000 }),
      (who) => send(who, pick(draw, [dca, maker, watcher]), { Action: 'Tick' })
    ]

    for (let step = 0; step < STEPS; step++) {
      price = Math.max(400, price + between(-60, step < 60 ? 40 : 60))
      if (step < 60) price = Math.min(price, 1100 - 8 * step)
      for (const process of [maker, rfq, lending]) for (const who of [dan, eve]) await say(who, process, 'price', price)
      // One who will be liquidated: the price falls for the first half of the day.
      if (step === 0) await transfer(gold, dan, lending, 100, { 'X-Action': 'Collateral' })
      if (step === 1) await send(dan, lending, { Action: 'Borrow', Quantity: 6 * price })
      for (let n = 0; n < 2; n++) await pick(draw, acts)(pick(draw, [ben, cleo]))
      if (step === 50) for (const who of [dan, eve]) await say(who, prediction, 'outcome', 'yes')
      await post(`${network.gateway}/api/v1/dev/clock/advance`, { ms: 900_000 })
      if (KILLS.includes(step)) {
        await network.kill()
        network = await startNetwork(['--state', state, '--no-up'])
      }
      await quiet()
    }

    await send(ada, maker, { Action: 'Stop' })
    for (const who of [ben, cleo]) {
      await send(who, book, { Action: 'Cancel-All' })
      await send(who, prediction, { Action: 'Redeem' })
    }
    await quiet()
    assert.ok(await now() >= began + 24 * 3_600_000)
    assert.deepEqual((await get(`${network.mu}/api/v1/outbox?dead`)).entries, [], 'nothing was given up')

    // No token is lost, and each agent has what it thinks that it has.
    const balances = {}
    for (const token of [gold, coin]) {
      balances[token] = await global(token, 'Balances')
      const sum = Object.values(balances[token]).reduce((all, one) => { assert.ok(BigInt(one) > 0n); return all + BigInt(one) }, 0n)
      assert.equal(sum, SUPPLY)
    }
    const agents = { amm, dca, book, maker, rfq, lending, watcher, prediction, notifier }
    for (const [name, agent] of Object.entries(agents)) {
      const till = await global(agent, 'Till')
      assert.equal(till.count, 0, `${name} waits for payments`)
      for (const token of [gold, coin]) assert.equal(till.held[token] ?? '0', balances[token][agent] ?? '0', `${name} of ${token}`)
    }
    assert.equal(balances[coin][prediction] ?? '0', await global(prediction, 'Sets'))

    // Exactly the ticks that were due, whatever was killed when.
    for (const name of TIMED) {
      const { processes: [{ timers: [timer] }] } = await get(`${network.su}/api/v1/timers?process=${id[name]}`)
      const [slotZero] = (await get(`${network.su}/${id[name]}?limit=1`)).edges
      const spawned = Number(slotZero.node.assignment.tags.find((tag) => tag.name === 'Timestamp').value)
      assert.equal(timer.given, Math.floor((await now() - 1 - spawned) / 900_000), `ticks of ${name}`)
      assert.ok(timer.given >= STEPS)
    }

    // They did what they are for, within their budgets.
    const spent = { dca: BigInt(await global(dca, 'Spent')), watcher: BigInt(await global(watcher, 'Spent')) }
    assert.ok(spent.dca > 0n && spent.dca <= 60_000n, `${spent.dca}`)
    assert.ok(spent.watcher <= 20_000n, `${spent.watcher}`)
    assert.equal(await global(prediction, 'Resolved'), 'yes')
    const [orders, fills, filled, done] = [await global(dca, 'Orders'), await global(maker, 'Fills'), await global(rfq, 'Filled'), await global(watcher, 'Done')]
    assert.ok(done > 0 && fills > 0, `${done} liquidations, ${fills} fills`)
    assert.ok(orders > 20, `${orders} purchases`)
    t.diagnostic(`purchases ${orders}, fills ${fills}, quotes ${filled}, liquidations ${done}, spent ${spent.dca} and ${spent.watcher}`)

    // Each of their ticks says which rule took it and why, those that did nothing as well.
    const decisions = {}
    for (const [name, rule] of Object.entries({ dca: 'dca.tick', maker: 'maker.tick', rfq: 'rfq.tick', watcher: 'watcher.tick', prediction: 'market.tick', notifier: 'notifier.tick' })) {
      decisions[name] = await pirn('trace', '--process', agents[name], '--limit', '1000')
      const own = decisions[name].filter(({ cron, tags }) => cron || tags?.some((tag) => tag.name === 'Tick-Due'))
      assert.ok(own.length >= 50, `${name} has ${own.length} ticks`)
      for (const one of own) assert.ok(one.rule === rule && one.reason, `${name}: ${JSON.stringify(one)}`)
    }
    const credits = decisions.dca.filter(({ action }) => action === 'Credit-Notice')
    assert.ok(credits.length > 0 && credits.every(({ rule }) => ['till.credit', 'once', undefined].includes(rule)))
    const forged = decisions.dca.filter(({ action, tags }) => action === 'Tick' && !tags?.some((tag) => tag.name === 'Tick-Due'))
    assert.ok(forged.every(({ rule }) => rule === undefined), 'what only calls itself a tick is taken by no rule of it')

    // A purchase from its tick on: what was asked, what was answered, what was decided, and what became of all of it.
    const bought = decisions.dca.find(({ reason }) => /^purchase \d+: the pool would give/.test(reason ?? ''))
    const tree = await pirn('trace', bought.message)
    const step = (message) => tree.find((one) => one.message === message)
    const after = (one, action) => {
      const next = one.outputs.map(step).find((output) => output.action === action)
      assert.ok(next, `no ${action} follows: ${JSON.stringify(one)}`)
      return next
    }
    const tick = tree.find(({ parent }) => parent === undefined)
    assert.deepEqual([tick.process, tick.action, tick.rule, tick.state], [dca, 'Tick', 'dca.tick', 'scheduled'])
    assert.ok(tick.tags.some(({ name }) => name === 'Tick-Due'))
    const asked = after(tick, 'Quote')
    assert.deepEqual([asked.process, asked.rule, asked.from], [amm, 'amm.quote', dca])
    const answered = after(asked, 'Quote-Result')
    assert.deepEqual([answered.message, answered.rule], [bought.message, 'dca.quoted'])
    assert.match(answered.reason, /swaps for at least \d+/)
    const paid = after(answered, 'Transfer')
    assert.equal(paid.process, coin)
    const swapped = after(paid, 'Credit-Notice')
    assert.deepEqual([swapped.process, swapped.rule], [amm, 'till.credit'])
    assert.match(swapped.reason, /\d+ of [ab] in, \d+ out/)
    assert.ok(tree.every(({ state }) => state === 'scheduled'), JSON.stringify(tree.filter(({ state }) => state !== 'scheduled')))
    t.diagnostic(`a purchase is ${tree.length} messages: ${answered.reason}`)

    // Their whole lives, from the weave alone.
    for (const [name, process] of Object.entries(id)) {
      const told = await pirn('verify', process)
      assert.equal(told.finding, null)
      t.diagnostic(`${name}: ${told.slots} slots and ${told.compared} outcomes hold`)
    }
  } finally {
    await network.stop()
  }
})

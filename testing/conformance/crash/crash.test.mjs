// Kills the whole node with SIGKILL at random moments of a load of spawns, messages and pushes, and restarts it.
// CRASH_ROUNDS and CRASH_SEED say how often and when; the seed is printed, so that a failure can be had again.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNetwork, startNode } from '../lib/network.mjs'
import { dataItem, tagsOf } from '../lib/items.mjs'
import { MODULES, moduleBytes, moduleTags } from '../lib/modules.mjs'
import { random } from '../lib/random.mjs'
import { wallet } from '../lib/wallets.mjs'
import { until } from '../lib/until.mjs'

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 6)
const SEED = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 1e9))
const HOPS = 6
const octets = { 'content-type': 'application/octet-stream', accept: 'application/json' }
const ao = { 'Data-Protocol': 'ao', Variant: 'ao.TN.1' }
const user = wallet(0)

const handlers = `
  Seen = Seen or {}
  Handlers.add('hop', 'Hop', function (m)
    local n = tonumber(m.Tags.N)
    table.insert(Seen, m.Tags.Chain .. ':' .. n)
    if n > 0 then Send({ Target = m.Tags.Next, Action = 'Hop', N = tostring(n - 1), Chain = m.Tags.Chain, Next = ao.id }) end
  end)`

test(`killed ${ROUNDS} times, seed ${SEED}`, { timeout: 900_000 }, async (t) => {
  t.diagnostic(`CRASH_SEED=${SEED}`)
  const draw = random(SEED)
  const state = mkdtempSync(join(tmpdir(), 'pirn-crash-'))
  const processes = []
  const acknowledged = [] // { process, id }
  const chains = new Map() // chain name → { item, done } : every seed of a chain that was sent
  let network = await startNetwork(['--state', state])
  try {
    const send = async (item, url = network.mu) => {
      const answer = await fetch(url, { method: 'POST', headers: octets, body: item.raw })
      assert.ok(answer.ok, `${answer.status} ${await answer.text()}`)
      return item.id
    }
    const message = (target, tags, data = ' ') => dataItem(user, { target, tags: tagsOf({ ...ao, Type: 'Message', ...tags }), data })
    const which = MODULES['aos 2.0.6 (64-bit)']
    const module = await send(dataItem(user, { tags: moduleTags(which), data: moduleBytes(which) }), `${network.bundler}/tx`)
    const spawn = () => dataItem(user, {
      tags: tagsOf({ ...ao, Type: 'Process', Module: module, Scheduler: network.addresses.su, Authority: network.authority }), data: '1984'
    })

    for (let round = 0; round < ROUNDS; round++) {
      // The load: a new process, then evals and chains of hops between random pairs, until the power goes.
      let off = false
      const work = async () => {
        const newcomer = spawn()
        await send(newcomer)
        const install = message(newcomer.id, { Action: 'Eval' }, handlers)
        await send(install)
        processes.push(newcomer.id)
        acknowledged.push({ process: newcomer.id, id: newcomer.id }, { process: newcomer.id, id: install.id })
        for (let i = 0; !off; i++) {
          const here = processes[Math.floor(draw() * processes.length)]
          const there = processes[Math.floor(draw() * processes.length)]
          const chain = `${round}-${i}-${newcomer.id.slice(0, 6)}`
          const item = i % 2
            ? message(here, { Action: 'Eval' }, 'Count = (Count or 0) + 1; return Count')
            : message(here, { Action: 'Hop', N: HOPS, Chain: chain, Next: there })
          if (i % 2 === 0) chains.set(chain, item)
          await send(item)
          acknowledged.push({ process: here, id: item.id, chain: i % 2 ? undefined : chain })
        }
      }
      const load = Promise.allSettled([work(), work(), work()])
      await new Promise((resolve) => setTimeout(resolve, 150 + draw() * 2500))
      await network.kill()
      off = true
      await load
      network = await startNetwork(['--state', state])
    }

    const schedule = async (process) => {
      const edges = []
      for (let page, after = '-1'; ; after = page.edges.at(-1).cursor) {
        page = await (await fetch(`${network.su}/${process}?process-id=${process}&from-nonce=${after}&limit=1000`)).json()
        edges.push(...page.edges)
        if (!page.page_info.has_next_page) return edges
      }
    }
    const tag = (item, name) => item.tags.find((each) => each.name === name)?.value
    const hopsOf = (edges) => edges.filter(({ node }) => node.message && tag(node.message, 'Action') === 'Hop')
    const all = async () => Object.fromEntries(await Promise.all(processes.map(async (p) => [p, await schedule(p)])))

    // Calm: every acknowledged chain has to come to its end by itself.
    const begun = new Set(acknowledged.map(({ chain }) => chain).filter(Boolean))
    let log
    await until('the chains have not all ended', async () => {
      log = await all()
      const ended = new Set(Object.values(log).flatMap(hopsOf).filter(({ node }) => tag(node.message, 'N') === '0').map(({ node }) => tag(node.message, 'Chain')))
      return [...begun].every((chain) => ended.has(chain))
    }, 240)

    // Every acknowledged message is scheduled once, and schedules have no gaps.
    for (const [process, edges] of Object.entries(log)) {
      assert.deepEqual(edges.map(({ node }) => Number(tag(node.assignment, 'Nonce'))), edges.map((_, i) => i), `slots of ${process}`)
      const ids = edges.map(({ node }) => node.message.id)
      assert.equal(new Set(ids).size, ids.length, `nothing of ${process} is scheduled twice`)
    }
    for (const { process, id } of acknowledged) assert.equal(log[process].filter(({ node }) => node.message.id === id).length, 1, `${id} of ${process}`)

    // Every pushed message is scheduled exactly once.
    const count = new Map()
    for (const { node } of Object.values(log).flatMap(hopsOf)) {
      const key = `${tag(node.message, 'Chain')}:${tag(node.message, 'N')}`
      count.set(key, (count.get(key) ?? 0) + 1)
    }
    for (const [key, n] of count) assert.equal(n, 1, `hop ${key}`)
    for (const chain of begun) for (let n = HOPS; n >= 0; n--) assert.equal(count.get(`${chain}:${n}`), 1, `hop ${chain}:${n}`)

    // Every outcome equals that of a node that was never disturbed: a compute unit with an empty disk replays the log.
    const results = async (base, process, edges) => {
      const last = edges.at(-1).node
      await (await fetch(`${base}/result/${last.message.id}?process-id=${process}`)).json()
      return Promise.all(edges.map(async ({ node }) => (await fetch(`${base}/result/${node.message.id}?process-id=${process}`)).text()))
    }
    const before = {}
    for (const process of processes) before[process] = await results(network.cu, process, log[process])
    const empty = mkdtempSync(join(tmpdir(), 'pirn-fresh-'))
    const fresh = await startNode(['cu'], empty, { gateway: network.gateway, su: network.su })
    try {
      for (const process of processes) assert.deepEqual(await results(fresh.cu, process, log[process]), before[process], `outcomes of ${process}`)
    } finally {
      await fresh.stop()
      rmSync(empty, { recursive: true, force: true })
    }
    t.diagnostic(`${processes.length} processes, ${acknowledged.length} acknowledged, ${count.size} hops`)
  } finally {
    await network.stop()
    rmSync(state, { recursive: true, force: true })
  }
})

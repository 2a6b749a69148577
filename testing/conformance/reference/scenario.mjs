// Builds on our network what the recordings were made on: the same processes and messages, signed anew.
import { dataItem, tagsOf } from '../lib/items.mjs'
import { MODULES, moduleBytes, moduleTags } from '../lib/modules.mjs'
import { wallet, addressOf } from '../lib/wallets.mjs'
import { until } from '../lib/until.mjs'

const ao = { 'Data-Protocol': 'ao', Variant: 'ao.TN.1' }
const octets = { 'content-type': 'application/octet-stream', accept: 'application/json' }

/**
 * Answers `vars` (the recordings' variables with our values), `items` (signed items by variable), `resign(about)` for the
 * items that only one recording knows, and `special` (processes of limits and formats, by recording).
 */
export async function build (network) {
  const [user, second] = [wallet(0), wallet(1)]
  const vars = { SCHEDULER: network.addresses.su, USER: addressOf(user), WALLET2: addressOf(second) }
  const items = {}

  const post = async (url, item) => {
    const answer = await fetch(url, { method: 'POST', headers: octets, body: item.raw })
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
    return item.id
  }
  const toMu = (item) => post(network.mu, item)
  const module = async (format) => post(`${network.bundler}/tx`, dataItem(user, {
    tags: moduleTags({ format }), data: moduleBytes(MODULES['aos 2.0.6 (64-bit)'])
  }))
  const processItem = (extra = {}, which = vars.MODULE) => dataItem(user, {
    tags: tagsOf({ ...ao, Type: 'Process', Module: which, Scheduler: vars.SCHEDULER, Authority: network.authority, SDK: 'aoconnect', ...extra }),
    data: '1984'
  })
  const message = (name, action, data) => {
    items[name] = dataItem(user, {
      target: vars.PROCESS, tags: tagsOf({ ...ao, Type: 'Message', SDK: 'aoconnect', Action: action }), data
    })
    vars[name] = items[name].id
    return toMu(items[name])
  }

  vars.MODULE = await module(MODULES['aos 2.0.6 (64-bit)'].format)
  items.PROCESS = processItem({ Name: 'golden' })
  vars.PROCESS = await toMu(items.PROCESS)
  await message('MSG_EVAL', 'Eval', 'Count = (Count or 0) + 1; return Count')
  await message('MSG_EVAL_ERROR', 'Eval', 'error("boom")')
  await message('MSG_SYNTAX', 'Eval', 'return (')
  await message('MSG_HANDLERS', 'Eval', 'Handlers.add("ping","Ping",function(m) m.reply({Data="pong",Action="Pong"}) end); Handlers.add("bad","Bad",function(m) error("handler boom") end)')
  await message('MSG_PING', 'Ping', 'x')
  await message('MSG_HANDLER_ERROR', 'Bad', 'x')
  await message('MSG_INBOX', 'NoSuchAction', 'hello')
  await message('MSG_TABLE', 'Eval', 'print("hello"); print({a=1}); return {x=1,y={2,3}}')
  await message('MSG_OUTBOX', 'Eval', `Send({Target="${vars.WALLET2}",Action="A",Data="1"}); Send({Target="${vars.SCHEDULER}",Data="2",Foo="bar"}); Spawn("${vars.MODULE}",{Data="child"}); Assign({Processes={"${vars.PROCESS}"},Message="${vars.MSG_EVAL}"})`)
  vars.PROCESS2 = await toMu(processItem({ Name: 'golden2' }))
  items.CRON_PROCESS = processItem({ Name: 'cron', 'Cron-Interval': '1-second', 'Cron-Tag-Action': 'Cron' })
  vars.CRON_PROCESS = await toMu(items.CRON_PROCESS)

  const json = async (url) => (await fetch(url)).json()
  await json(`${network.cu}/result/${vars.MSG_OUTBOX}?process-id=${vars.PROCESS}`)
  const stamp = async (id) => (await json(`${network.su}/${id}?process-id=${vars.PROCESS}`)).assignment.tags.find(({ name }) => name === 'Timestamp').value
  vars.TS2 = await stamp(vars.MSG_EVAL_ERROR)
  vars.TS4 = await stamp(vars.MSG_HANDLERS)
  const cursor = async (query) => (await json(`${network.cu}/results/${vars.PROCESS}?${query}`)).edges.at(-1).cursor
  vars.CURSOR_ASC = await cursor('limit=1')
  vars.CURSOR_DESC = await cursor('sort=DESC&limit=3')
  const ticked = async () => (await json(`${network.cu}/cron/${vars.CRON_PROCESS}`)).edges
  vars.CURSOR_CRON = (await until('no cron outcome', async () => { const edges = await ticked(); return edges.length && edges })).at(-1).cursor

  const limits = { compute_limit_unsupported: { 'Compute-Limit': '99000000000000000' }, memory_limit_unsupported: { 'Memory-Limit': '64-gb' }, memory_limit_malformed: { 'Memory-Limit': 'lots' }, memory_limit_too_small: { 'Memory-Limit': '1-mb' } }
  const special = {}
  for (const [name, tags] of Object.entries(limits)) special[name] = await toMu(processItem(tags))
  special.metered_ok = await toMu(processItem({}, await module('wasm64-unknown-emscripten-draft_2024_10_16-metering')))
  special.unsupported_format = await toMu(processItem({}, await module('wasm128-foo')))

  /** An item like the recorded one, with our ids in the place of theirs, by the same of two wallets. */
  const resign = (about, translate) => dataItem(about.owner === translate.theirs.WALLET2 ? second : user, {
    target: about.target && translate(about.target),
    tags: about.tags.map(({ name, value }) => ({ name, value: translate(value) })),
    data: translate(about.data ?? '')
  })
  return { vars, items, special, resign }
}

// Runs the same messages on aos and on the boot library, and prints where they answer differently.
//
//   node testing/lua/compare.mjs --pirn PIRN --aos AOS.wasm [--ours MODULE.wasm [--format FORMAT] | --lua lua5.3] [--all] [CASE.json…]
//   node testing/lua/compare.mjs --list
//
// `--list` runs nothing: it prints every known difference with its reason, as docs/lua-differences.md has them.
// `--ours` is a module that `pirn module run` runs; without it the boot library runs under a stock Lua. A case is
// { "name", "messages": [text to evaluate | { "blueprint": name } | message, …], "expect": { "2": "why the third message may differ" } }.
// What is known to differ is in `expect` with its reason; anything else that differs makes the exit code 1.
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pirn: { type: 'string', default: 'pirn' },
    aos: { type: 'string' },
    ours: { type: 'string' },
    lua: { type: 'string', default: 'lua5.3' },
    format: { type: 'string' },
    cache: { type: 'string' },
    all: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})
if (!options.aos && !options.list) {
  console.error('compare: --aos is missing: the path of an aos 2.0.6 module (aos2_0_6.wasm)')
  process.exit(2)
}

const PROCESS = 'PROCESS_ID_00000000000000000000000000000000'
const OWNER = 'OWNER_0000000000000000000000000000000000000'
const TAGS = [
  { name: 'Name', value: 'demo' },
  { name: 'Authority', value: 'AUTHORITY' },
  { name: 'Module', value: 'MODULE' },
  { name: 'Type', value: 'Process' },
]
const common = { 'Hash-Chain': 'chain', Module: 'MODULE', Cron: false, Epoch: 0 }

const blueprint = (name) => readFileSync(join(here, '..', '..', 'processes', 'blueprints', `${name}.lua`), 'utf8')

/** The lines that a module is given for one case, and what each was made of. */
function requests(one) {
  const tags = [...TAGS, ...(one.tags ?? [])]
  const parent = tags.find(({ name }) => name === 'From-Process')?.value
  const env = { Process: { Id: PROCESS, Owner: parent ? 'AUTHORITY' : OWNER, Tags: tags }, Module: { Id: 'MODULE', Owner: 'X', Tags: [] } }
  const boot = {
    Id: PROCESS, Owner: parent ? 'AUTHORITY' : OWNER, From: parent ?? OWNER, Target: PROCESS, Tags: tags, Data: one.data ?? ' ',
    Timestamp: 1000, 'Block-Height': 1, Nonce: 0, ...common,
  }
  const messages = one.messages.map((given, at) => {
    const evaluated = typeof given === 'string' ? given : given.blueprint && blueprint(given.blueprint)
    const message = evaluated ? { Tags: [{ name: 'Action', value: 'Eval' }], Data: evaluated } : given
    return {
      Id: `MESSAGE${at + 1}`, Owner: OWNER, From: OWNER, Target: PROCESS, Tags: [], Data: '',
      Timestamp: 1001 + at, 'Block-Height': 2 + at, Nonce: at + 1, ...common, ...message,
    }
  })
  return [boot, ...messages].map((message, at) => JSON.stringify({ message, env, fresh: at === 0 }))
}

function run(command, args, lines) {
  const done = spawnSync(command, args, { input: lines.join('\n') + '\n', maxBuffer: 1 << 30, encoding: 'utf8' })
  if (done.error) throw new Error(`${command} could not be run: ${done.error.message}`)
  const out = done.stdout.trim().split('\n')
  if (out.length !== lines.length) throw new Error(`${command} answered ${out.length} of ${lines.length} lines: ${done.stderr}`)
  return out.map((line) => JSON.parse(line))
}

const module = (file, format) => [
  'module', 'run', file, '--jsonl',
  ...(format ? ['--format', format] : []),
  ...(options.cache ? ['--cache', options.cache] : []),
]

/** What is compared: all that a client sees, without what cannot be the same. */
function seen(outcome) {
  if (outcome.Error !== undefined) {
    // The text of an error is our own; that there is one, and the author's line in it, is not.
    const lines = String(JSON.stringify(outcome.Error)).match(/\[string \\*"aos\\*"\]:\d+: [^\\"]*/g)
    // JSON's words are its module's own, wherever they begin.
    const last = lines?.at(-1)
    return { error: last === undefined || last.includes(': json: ') ? true : last }
  }
  const tags = (tags) => [...(tags ?? [])].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  const sent = (list) => (list ?? []).map((message) => ({ ...message, Tags: tags(message.Tags) }))
  const output = JSON.parse(
    JSON.stringify(outcome.Output ?? '')
      .replaceAll(/aos-\d+\.\d+\.\d+/g, 'aos-VERSION')
      .replaceAll(/(function|table|thread): (0x)?[0-9a-f]+/g, '$1'),
  )
  return { output, messages: sent(outcome.Messages), spawns: sent(outcome.Spawns), assignments: outcome.Assignments ?? [] }
}

/** The same, whatever order an object's keys are in; lines of a table printed are compared as a set. */
function text(value) {
  const sorted = (inner) => {
    if (Array.isArray(inner)) return inner.map(sorted)
    if (inner && typeof inner === 'object') {
      return Object.fromEntries(Object.keys(inner).sort().map((key) => [key, sorted(inner[key])]))
    }
    return inner
  }
  const one = sorted(value)
  if (one.output?.data?.includes?.('{\n')) {
    one.output.data = one.output.data.split('\n').map((line) => line.replace(/,$/, '')).sort()
    delete one.output.test
  }
  return JSON.stringify(one, null, 1)
}

/** Every known difference, as a page: the reason, and the messages of which it is the reason. */
function differences(cases) {
  const places = new Map()
  for (const one of cases) {
    for (const [at, reason] of Object.entries(one.expect ?? {})) {
      const given = Number(at) < 0 ? 'the boot' : one.messages[at]
      const shown = typeof given === 'string' ? given : given.blueprint ? `blueprint ${given.blueprint}` : JSON.stringify(given)
      const line = shown.replaceAll(/\s+/g, ' ').replaceAll('`', "'").trim()
      places.set(reason, [...(places.get(reason) ?? []), `${one.name} ${at}: \`${line.length > 160 ? line.slice(0, 157) + '...' : line}\``])
    }
  }
  const messages = cases.reduce((sum, one) => sum + one.messages.length + 1, 0)
  const known = [...places.values()].flat().length
  const head = `# Where our Lua answers otherwise than aos 2.0.6

${messages} messages are sent to both, boots included, and all that a client sees of the answers is compared; ${known} are answered otherwise, each for a reason below.
Under each reason: the cases of \`testing/lua/cases\`, and the messages.
Generated by \`node testing/lua/compare.mjs --list\`; \`testing/conformance/lua\` fails when this page is not that, when anything else differs, and when something here is the same after all.

What cannot be the same is not compared: addresses of functions, versions, the order of tags and of lines of a printed table, our own words in errors.
`
  const sections = [...places].map(([reason, list]) => `\n## ${reason}\n\n${list.map((line) => `- ${line}\n`).join('')}`)
  return head + sections.join('')
}

const files = positionals.length
  ? positionals
  : readdirSync(join(here, 'cases')).filter((name) => name.endsWith('.json')).sort().map((name) => join(here, 'cases', name))
const cases = files.flatMap((file) => JSON.parse(readFileSync(file, 'utf8')))
if (options.list) {
  process.stdout.write(differences(cases))
  process.exit(0)
}
let same = 0
let known = 0
let different = 0
for (const one of cases) {
  const lines = requests(one)
  const theirs = run(options.pirn, module(options.aos), lines)
  const ours = options.ours
    ? run(options.pirn, module(options.ours, options.format), lines)
    : run(options.lua, [join(here, 'ours.lua'), join(here, '..', '..', 'processes')], lines)
  lines.forEach((line, at) => {
    const [a, b] = [text(seen(theirs[at])), text(seen(ours[at]))]
    const name = at === 0 ? 'boot' : JSON.stringify(one.messages[at - 1]).slice(0, 300)
    const reason = one.expect?.[at - 1]
    if (a === b) {
      same += 1
      if (reason) {
        different += 1
        console.log(`${one.name} ${name}\n  is now the same; "expect" says: ${reason}`)
      }
    } else if (reason) {
      known += 1
      if (options.all) console.log(`${one.name} ${name}\n  differs, known: ${reason}`)
    } else {
      different += 1
      const brief = (value) => JSON.stringify(value, (key, inner) => (key === 'prompt' || key === 'test' ? undefined : inner)).slice(0, 700)
      console.log(`${one.name} ${at - 1} ${name}\n  aos:  ${brief(theirs[at])}\n  ours: ${brief(ours[at])}`)
    }
  })
}
console.log(`${same} the same, ${known} different and known, ${different} different`)
process.exit(different ? 1 : 0)

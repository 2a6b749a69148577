// The function that @permaweb/ao-loader exports, over `pirn module run --jsonl`: same arguments, same results.
// PIRN_BIN says where the binary is.
//
// Where it differs: a message that fails leaves the process as it was, and results of UNSAFE_MEMORY hold a token
// instead of the memory, good for the handle it came from.
const { spawn } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const PIRN = process.env.PIRN_BIN || 'pirn'
const DEFAULT_FORMAT = 'wasm32-unknown-emscripten'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pirn-ao-loader-'))
const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill()
  fs.rmSync(folder, { recursive: true, force: true })
})

// A caller may compile the module itself and hand over a function that instantiates it. A WebAssembly.Module does not
// give its bytes away, so they are remembered when it is compiled.
const bytesOfModule = new WeakMap()
const bytesOfInstance = new WeakMap()
const ourImports = new WeakSet()
const { compile, instantiate } = WebAssembly

WebAssembly.compile = async (source) => {
  const module = await compile(source)
  bytesOfModule.set(module, Buffer.from(source))
  return module
}
WebAssembly.compileStreaming = async (source) => WebAssembly.compile(await (await source).arrayBuffer())
WebAssembly.instantiate = async (module, imports) => {
  if (!ourImports.has(imports)) return instantiate(module, imports)
  const instance = {}
  bytesOfInstance.set(instance, bytesOfModule.get(module))
  return instance
}

/** The bytes of a module that a function instantiates. */
function bytesThrough (instantiateWasm) {
  return new Promise((resolve, reject) => {
    const imports = {}
    ourImports.add(imports)
    const received = (instance) => {
      const bytes = bytesOfInstance.get(instance)
      if (bytes) resolve(bytes)
      else reject(new Error('the module was not compiled by WebAssembly.compile or compileStreaming'))
    }
    instantiateWasm(imports, received)
  })
}

/** One `pirn module run --jsonl`. */
class Pirn {
  constructor (bytes, options) {
    const name = createHash('sha256').update(bytes).digest('hex')
    const file = path.join(folder, `${name}.wasm`)
    if (!fs.existsSync(file)) fs.writeFileSync(file, bytes)
    const args = ['module', 'run', file, '--jsonl', '--format', options.format || DEFAULT_FORMAT]
    args.push('--cache', path.join(folder, 'compiled'))
    if (options.exact) args.push('--exact')
    if (options.computeLimit) args.push('--compute-limit', String(options.computeLimit))
    // The loader takes a limit and enforces none but the module's own.
    args.push('--memory-limit', '17179869184')
    this.child = spawn(PIRN, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.waiting = []
    children.add(this.child)
    const fail = (error) => {
      children.delete(this.child)
      this.failed = error
      for (const { reject } of this.waiting.splice(0)) reject(error)
    }
    this.child.on('error', fail)
    this.child.on('exit', (code) => fail(new Error(`pirn ended with ${code}`)))
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.waiting.shift()?.resolve(JSON.parse(line))
      if (this.waiting.length === 0) this.hold(false)
    })
    this.hold(false)
  }

  /** Whether an open answer keeps node running. */
  hold (yes) {
    const how = yes ? 'ref' : 'unref'
    for (const one of [this.child, this.child.stdin, this.child.stdout]) one[how]()
  }

  ask (request) {
    if (this.failed) return Promise.reject(this.failed)
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      this.hold(true)
      this.child.stdin.write(JSON.stringify(request) + '\n')
    })
  }
}

let files = 0
const temporary = () => path.join(folder, `memory-${files++}`)

module.exports = async function AoLoader (binary, options) {
  if (options === null || typeof options !== 'object') options = { format: DEFAULT_FORMAT }
  const bytes = typeof binary === 'function' ? await bytesThrough(binary) : Buffer.from(binary)
  const pirn = new Pirn(bytes, options)
  const token = new ArrayBuffer(1)
  let last = null

  return async function handle (memory, message, env) {
    const request = { message, env }
    let given
    if (memory && memory !== last) {
      given = temporary()
      fs.writeFileSync(given, Buffer.from(memory.buffer ?? memory, memory.byteOffset, memory.byteLength))
      request.memory = given
    }
    if (!options.UNSAFE_MEMORY) request.save = temporary()
    const answer = await pirn.ask(request)
    if (given) fs.rmSync(given)
    if (answer.error) throw new Error(answer.error)
    if (options.UNSAFE_MEMORY) {
      last = token
    } else {
      last = new Uint8Array(fs.readFileSync(request.save))
      fs.rmSync(request.save)
    }
    if (typeof answer.Error === 'string' && answer.Error.startsWith('out of gas: ')) throw new Error('out of gas!')
    if (answer.Thrown) throw answer.Error
    const failed = answer.Error !== undefined
    return {
      Memory: last,
      Error: answer.Error,
      Output: failed ? undefined : answer.Output,
      Messages: failed ? undefined : answer.Messages,
      Spawns: failed ? undefined : answer.Spawns,
      Assignments: failed ? undefined : answer.Assignments,
      Patches: [],
      GasUsed: answer.GasUsed
    }
  }
}

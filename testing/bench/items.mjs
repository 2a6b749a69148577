// How long a data item takes from POST to the messenger to its outcome, by its size: 1 KB to 10 MB.
import { ED25519, evaluate, median, message, now, outcome, returned, row, sized, spawn, toMessenger } from './lib.mjs'

const TIMES = sized(5, 20)
/** The largest is a little less than 10 MiB: what is accepted counts the whole item. */
const SIZES = { '1 KB': 2 ** 10, '10 KB': 10 * 2 ** 10, '100 KB': 100 * 2 ** 10, '1 MB': 2 ** 20, '10 MB': 10 * 2 ** 20 - 2 ** 12 }

const id = await spawn(ED25519, 'lua')
await evaluate(ED25519, id, 'Handlers.add("size", "Size", function (m) Last = #m.Data; print(Last) end)')
for (const [name, bytes] of Object.entries(SIZES)) {
  const took = []
  for (let i = 0; i < (bytes > 2 ** 20 ? Math.ceil(TIMES / 4) : TIMES); i++) {
    const item = await message(ED25519, id, { Action: 'Size' }, Buffer.alloc(bytes, 'pirn '))
    const start = now()
    await toMessenger(item)
    const output = returned(await outcome(id, item.id))
    took.push(now() - start)
    if (!output.includes(String(bytes))) throw new Error(`a message of ${bytes} bytes was answered ${output.slice(0, 100)}`)
  }
  row(`items of ${name}, post to outcome p50`, 'ms', median(took))
  row(`items of ${name}`, 'MB/s', bytes / 2 ** 20 / median(took) * 1000)
}

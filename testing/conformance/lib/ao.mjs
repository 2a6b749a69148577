// aoconnect against one network, with the few words that the suites share. The packages come from the caller's folder.
import { until } from './until.mjs'
import { moduleBytes, moduleTags } from './modules.mjs'

/** A client of `network` that speaks as `jwk`. `packages` is `{ aoconnect, Arweave }` as imported by the suite. */
export function client (network, jwk, { aoconnect, Arweave }) {
  const signer = aoconnect.createDataItemSigner(jwk)
  const ao = aoconnect.connect({
    MODE: 'legacy', MU_URL: network.mu, CU_URL: network.cu, GATEWAY_URL: network.gateway, GRAPHQL_URL: `${network.gateway}/graphql`
  })
  const url = new URL(network.gateway)
  const arweave = Arweave.init({ host: url.hostname, port: url.port, protocol: url.protocol.replace(':', '') })
  const self = {
    ao, arweave, signer, jwk,

    /** Publishes a module as a transaction, as arweave-js does it, and answers its id. */
    async publish (module, extra = {}) {
      const tx = await arweave.createTransaction({ data: moduleBytes(module) }, jwk)
      for (const { name, value } of moduleTags(module, extra)) tx.addTag(name, value)
      await arweave.transactions.sign(tx, jwk)
      const posted = await arweave.transactions.post(tx)
      if (posted.status !== 200) throw new Error(`publishing: ${posted.status} ${JSON.stringify(posted.data)}`)
      return tx.id
    },

    spawn: (module, tags = [], data) => ao.spawn({
      module, scheduler: network.addresses.su, signer, data,
      tags: [{ name: 'Authority', value: network.authority }, ...tags]
    }),

    send: (process, tags, data) => ao.message({
      process, signer, data, tags: Object.entries(tags).map(([name, value]) => ({ name, value: String(value) }))
    }),

    /** Evaluates Lua in a process and answers the whole result. */
    async eval (process, lua) {
      const message = await self.send(process, { Action: 'Eval' }, lua)
      return ao.result({ message, process })
    },

    /** Evaluates Lua and answers what it returned, as text without colours. */
    async value (process, lua) {
      const result = await self.eval(process, lua)
      if (result.Error) throw new Error(`${lua}: ${JSON.stringify(result.Error)}`)
      return plain(result.Output?.data?.output ?? result.Output?.data ?? '')
    },

    /** Waits until some Lua expression gives a wanted text. */
    becomes: (process, lua, wanted, seconds) => {
      let last
      return until(`${lua} of ${process} is not ${wanted}`, async () => { last = await self.value(process, `return ${lua}`); return last === wanted }, seconds)
        .catch((error) => { throw new Error(`${error.message}, but ${last}`) })
    }
  }
  return self
}

/** Text without terminal colours. */
export const plain = (text) => String(text).replace(/\u001b\[[0-9;]*m/g, '')

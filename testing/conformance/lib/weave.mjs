// The embedded weave as arweave-js sees it.

/** An arweave-js client of a network's gateway. */
export function connect (Arweave, network) {
  const url = new URL(network.gateway)
  return Arweave.init({ host: url.hostname, port: url.port, protocol: url.protocol.replace(':', '') })
}

/** The `data` of a GraphQL answer; fails if there are errors. */
export async function graphql (network, query, variables = {}) {
  const response = await fetch(`${network.gateway}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables })
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

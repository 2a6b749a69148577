// The public test keys that `pirn dev` funds: the same on every machine.
import { readFileSync } from 'node:fs'
import { createHash } from 'node:crypto'

const folder = new URL('../../../crates/node/accounts/', import.meta.url)

/** The Arweave wallet (JWK) of dev account `n`, 0 to 9. */
export const wallet = (n) => JSON.parse(readFileSync(new URL(`rsa-${n}.json`, folder), 'utf8'))

/** The address of an Arweave wallet. */
export const addressOf = (jwk) => createHash('sha256').update(Buffer.from(jwk.n, 'base64url')).digest('base64url')

// ANS-104 data items out of Node's own crypto, for suites that must also send wrong ones.
import { createHash, createPrivateKey, sign, constants, randomBytes } from 'node:crypto'

const sha384 = (...parts) => { const hash = createHash('sha384'); for (const part of parts) hash.update(part); return hash.digest() }

/** The deep hash of bytes, or of a list of deep hashes' sources. */
export function deepHash (what) {
  if (Array.isArray(what)) return what.reduce((acc, child) => sha384(acc, deepHash(child)), sha384(`list${what.length}`))
  const bytes = Buffer.from(what)
  return sha384(sha384(`blob${bytes.length}`), sha384(bytes))
}

function zigzag (n) {
  const out = []
  let rest = BigInt(n) << 1n
  do { let byte = Number(rest & 0x7fn); rest >>= 7n; if (rest) byte |= 0x80; out.push(byte) } while (rest)
  return Buffer.from(out)
}
const text = (s) => { const bytes = Buffer.from(s, 'utf8'); return Buffer.concat([zigzag(bytes.length), bytes]) }
const u64 = (n) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(n)); return bytes }

/** A signed data item: `{ id, raw }`. `anchor` is 32 bytes of text, `null` for none, random if not given. */
export function dataItem (jwk, { target, anchor, tags = [], data = '' }) {
  const owner = Buffer.from(jwk.n, 'base64url')
  const to = target ? Buffer.from(target, 'base64url') : Buffer.alloc(0)
  const mark = anchor === null ? Buffer.alloc(0) : anchor ? Buffer.from(anchor) : randomBytes(32)
  const tagBytes = tags.length
    ? Buffer.concat([zigzag(tags.length), ...tags.flatMap(({ name, value }) => [text(name), text(value)]), Buffer.from([0])])
    : Buffer.alloc(0)
  const body = Buffer.from(data)
  const hash = deepHash(['dataitem', '1', '1', owner, to, mark, tagBytes, body])
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const signature = sign('sha256', hash, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
  const raw = Buffer.concat([
    Buffer.from([1, 0]), signature, owner, Buffer.from([to.length ? 1 : 0]), to, Buffer.from([mark.length ? 1 : 0]), mark,
    u64(tags.length), u64(tagBytes.length), tagBytes, body
  ])
  return { id: createHash('sha256').update(signature).digest('base64url'), raw }
}

/** Tags out of an object, in its order. */
export const tagsOf = (object) => Object.entries(object).map(([name, value]) => ({ name, value: String(value) }))

// As much of the driver `sqlite3` as knex uses, over a SQLite whose binaries are packages of npm: the real one builds
// itself from source, or fetches itself from outside the registry. arlocal does not notice.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const Sqlite = require('libsql')

class Database {
  /** Opens or creates the file; `done(error)` comes later, as whatever callbacks are told does. */
  constructor (file, _flags, done) { later(done, () => { this.sqlite = new Sqlite(file) }) }

  /** Runs a statement; `this` of the callback has `lastID` and `changes`. */
  run (sql, bindings, done) {
    later(done, () => {
      const { lastInsertRowid, changes } = this.sqlite.prepare(sql).run(...bindings.map(bound))
      return { context: { lastID: Number(lastInsertRowid), changes } }
    })
  }

  /** Runs a statement and hands over its rows, if it is one that has rows. */
  all (sql, bindings, done) {
    later(done, () => {
      const statement = this.sqlite.prepare(sql)
      if (statement.reader) return { rows: statement.all(...bindings.map(bound)) }
      statement.run(...bindings.map(bound))
      return { rows: [] }
    })
  }

  close (done) { later(done, () => { this.sqlite.close() }) }
}

function later (done, work) {
  setImmediate(() => {
    let outcome
    try {
      outcome = work()
    } catch (error) {
      return done.call({}, error)
    }
    done.call(outcome?.context ?? {}, null, outcome?.rows)
  })
}

/** A value as `sqlite3` binds it: of what is no value of SQL, its text. */
function bound (value) {
  if (typeof value === 'boolean') return Number(value)
  if (value instanceof Date) return value.getTime()
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value) ? String(value) : value ?? null
}

/** Has whoever asks for `sqlite3` from now on get this. */
export function install () {
  const file = require.resolve('sqlite3')
  require.cache[file] = { id: file, filename: file, loaded: true, exports: { Database, OPEN_READONLY: 1, OPEN_READWRITE: 2, OPEN_CREATE: 4 } }
}

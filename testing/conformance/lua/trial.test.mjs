// `pirn test` with modules of others: the tests of new projects hold on aos as they do on the Lua module of this repository.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

import { MODULES, modulePath } from '../lib/modules.mjs'
import { PIRN } from '../lib/network.mjs'

const home = mkdtempSync(join(tmpdir(), 'pirn-trial-'))
after(() => rmSync(home, { recursive: true }))

const pirn = (cwd, ...args) => {
  const done = spawnSync(PIRN, args, { cwd, encoding: 'utf8', env: { ...process.env, XDG_CACHE_HOME: join(home, 'cache') } })
  assert.equal(done.error, undefined)
  return done
}

for (const template of ['lua', 'lua-token', 'agent']) {
  assert.equal(pirn(home, 'new', template, '--template', template).status, 0)
}

for (const name of ['aos 2.0.6 (64-bit)', 'aos 2.0.4 (32-bit)', 'aos 2.0.1 (64-bit)']) {
  test(`the tests of new projects hold on ${name}`, () => {
    for (const template of ['lua', 'lua-token', 'agent']) {
      const folder = join(home, template)
      const ours = JSON.parse(pirn(folder, 'test', '--json').stdout)
      const theirs = pirn(folder, 'test', '--json', '--coverage', '--module', modulePath(MODULES[name]))
      assert.equal(theirs.status, 0, theirs.stdout + theirs.stderr)
      const answer = JSON.parse(theirs.stdout)
      assert.deepEqual([answer.passed, answer.failed, answer.errors], [ours.passed, 0, 0])
      const covered = answer.coverage.flatMap(({ handlers }) => handlers).filter(([, , runs]) => runs > 0)
      assert.ok(covered.length >= 3, JSON.stringify(answer.coverage))
    }
  })
}

test('processes of several modules speak to one another in one test', () => {
  const folder = join(home, 'lua')
  writeFileSync(join(folder, 'test', 'mixed_test.lua'), `
    it("adds over there", function()
      local ours = t.spawn({ name = "ours", code = "Handlers.add('go', 'Go', function(m) Send({ Target = m.To, Action = 'Inc', By = '4' }) end)" })
      local theirs = t.spawn({ process = "lua", module = ${JSON.stringify(modulePath(MODULES['aos 2.0.6 (64-bit)']))} })
      ours:send({ Action = "Go", To = theirs })
      t.expect({ Action = "Inc-Result", Data = "4", Target = ours, From = theirs })
      assert.are.equal(4, theirs:state("Count"))
      assert.are.equal("table", theirs:eval("return type(Handlers.list)"))
      assert.error_matches(function() theirs:eval("error('no')") end, "no")
    end)
  `)
  const { status, stdout, stderr } = pirn(folder, 'test', 'test/mixed_test.lua')
  assert.equal(status, 0, stdout + stderr)
})

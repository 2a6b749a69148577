--- `describe`, `it` and their kin, as busted has them; and the walk over them.
---
--- Each test begins with the network as the `setup`s of the blocks around it left it: a fork of that, thrown away after.
---
--- A file that says `t.parallel()` is run as often as it has tests, in a Lua of its own each time: one of them, and of
--- everything around it only what belongs to that one.
local host, t, now, spies = ...

local root = { name = nil, children = {}, setup = {}, teardown = {}, before = {}, after = {} }
local current = root

function describe(name, body)
  local block = {
    name = tostring(name), children = {}, setup = {}, teardown = {}, before = {}, after = {}, parent = current, line = host.where(),
  }
  table.insert(current.children, block)
  current = block
  local ok, problem = xpcall(body, host.locate)
  current = block.parent
  if not ok then
    block.problem = problem
  end
end
context, insulate, expose = describe, describe, describe

function it(name, body)
  table.insert(current.children, { name = tostring(name), test = body or false, line = host.where() })
end
spec, test = it, it

local pending_meta = {}

--- A test that is not there yet; inside a test, the end of it.
function pending(name, _)
  if now.running then
    error(setmetatable({ pending = name or "pending" }, pending_meta), 0)
  end
  table.insert(current.children, { name = tostring(name), test = false, line = host.where() })
end

local function hook(list)
  return function(run)
    table.insert(current[list], run)
  end
end
setup, before_all, lazy_setup, strict_setup = hook("setup"), hook("setup"), hook("setup"), hook("setup")
teardown, after_all, lazy_teardown, strict_teardown = hook("teardown"), hook("teardown"), hook("teardown"), hook("teardown")
before_each, after_each = hook("before"), hook("after")

--- Each test of this file runs on its own: the file is run anew for it, so no variable that a test sets is seen by another
--- one. Then they can run at the same time.
function t.parallel()
  if now.running or current ~= root then
    error("t.parallel() is about the whole file: call it outside of describe and it", 2)
  end
  root.parallel = true
end

local finals = {}

--- Runs when the test is over, however it ended.
function finally(run)
  finals[#finals + 1] = run
end

function randomize() end

local function title(block, name)
  local parts = { name }
  while block and block.name do
    table.insert(parts, 1, block.name)
    block = block.parent
  end
  return parts
end

--- The hooks of a block and those around it, the outermost first.
local function all(block, list)
  local hooks = {}
  while block do
    for at = #block[list], 1, -1 do
      table.insert(hooks, 1, block[list][at])
    end
    block = block.parent
  end
  return hooks
end

local function call(hooks)
  for _, run in ipairs(hooks) do
    run()
  end
end

local function report(block, test, status, problem)
  local letters = host.letters() - now.mark
  host.report({ title = title(block, test.name), line = test.line, status = status, problem = problem, letters = letters, mark = now.mark })
end

local function verdict(problem)
  if type(problem) == "table" and problem.pending then
    return "pending"
  elseif type(problem) == "table" and problem.failed then
    return "failed"
  end
  return "error"
end

--- The unit that is run of the file; all of them, if there is none.
local only

local function run_test(block, test, base)
  local names = title(block, test.name)
  if not host.wanted(names) or only and only ~= test then
    return
  end
  host.counts(true)
  if not test.test then
    host.begin()
    now.mark = host.letters()
    return report(block, test, "pending")
  end
  host.restore(base.network)
  now.last, now.sender, now.mark, now.running, t.auto = base.last, base.sender, host.letters(), true, true
  host.begin()
  local spied = spies.mark()
  finals = {}
  local ok, problem = xpcall(function()
    call(all(block, "before"))
    test.test()
  end, host.locate)
  local ended, later = xpcall(function()
    call(finals)
    call(all(block, "after"))
  end, host.locate)
  spies.revert(spied)
  now.running = false
  if not ok then
    return report(block, test, verdict(problem), problem)
  elseif not ended then
    return report(block, test, verdict(later), later)
  end
  return report(block, test, "passed")
end

local function each_test(block, run)
  for _, child in ipairs(block.children) do
    if child.children then
      each_test(child, run)
    else
      run(block, child)
    end
  end
end

local function any_wanted(block)
  local any = false
  each_test(block, function(inner, test)
    any = any or host.wanted(title(inner, test.name))
  end)
  return any
end

--- What is run of a block one by one, in its order: the tests that are wanted; a block without any is one itself.
local function units(block, list)
  list = list or {}
  for _, child in ipairs(block.children) do
    if not child.children then
      list[#list + 1] = host.wanted(title(block, child.name)) and child or nil
    elseif not any_wanted(child) then
      list[#list + 1] = child
    else
      units(child, list)
    end
  end
  return list
end

--- Whether the unit that is run is in a block, and whether it is the first and the last one there: what a block does around
--- its tests counts once, however often it is done.
local function share(block)
  if not only or only == block then
    return true, true, true
  end
  local list = units(block)
  for at, unit in ipairs(list) do
    if unit == only then
      return true, at == 1, at == #list
    end
  end
  return false
end

local function broken(block, problem)
  local any = false
  each_test(block, function(inner, test)
    if host.wanted(title(inner, test.name)) and (not only or only == test) then
      any = true
      host.begin()
      now.mark = host.letters()
      report(inner, test, "error", problem)
    end
  end)
  if not any and not only then
    host.begin()
    now.mark = host.letters()
    report(block.parent or block, { name = block.name or "(file)", line = block.line }, "error", problem)
  end
end

local run_block

local function walk(block, before, is_first, is_last)
  host.restore(before.network)
  host.counts(is_first)
  host.reseed()
  now.last, now.sender, now.mark, t.auto = before.last, before.sender, host.letters(), true
  if block.problem then
    return broken(block, block.problem)
  end
  local spied = spies.mark()
  local ok, problem = xpcall(call, host.locate, block.setup)
  if not ok then
    return broken(block, problem)
  end
  local base = { network = host.snapshot(), last = now.last, sender = now.sender }
  for _, child in ipairs(block.children) do
    if child.children then
      run_block(child, base)
    else
      run_test(block, child, base)
    end
  end
  host.counts(is_last)
  local ended, later = xpcall(call, host.locate, block.teardown)
  spies.revert(spied)
  host.forget(base.network)
  if not ended and is_last then
    host.begin()
    report(block.parent or block, { name = (block.name or "(file)") .. " teardown", line = block.line }, "error", later)
  end
  host.over()
end

function run_block(block, before)
  local has_it, is_first, is_last = share(block)
  if has_it then
    local one = only
    -- A block that is run itself is run with all that is in it.
    only = only ~= block and only or nil
    walk(block, before, is_first, is_last)
    only = one
  end
end

--- Runs a file: first it says what its tests are, then they run.
return function(file)
  local ok, problem = xpcall(file, host.locate)
  if not ok then
    root.problem = problem
    root.children = {}
    return broken(root, problem)
  end
  if root.parallel then
    local list, which = units(root), host.which()
    if not which and #list > 1 then
      return host.split(#list)
    elseif which then
      only = list[which] or error("the file has other tests each time that it is run", 0)
    end
  end
  -- What the file did before its tests is where they begin.
  local base = { network = host.snapshot(), last = now.last, sender = now.sender }
  run_block(root, base)
end

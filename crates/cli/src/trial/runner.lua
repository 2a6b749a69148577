--- `describe`, `it` and their kin, as busted has them; and the walk over them.
---
--- Each test begins with the network as the `setup`s of the blocks around it left it: a fork of that, thrown away after.
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

local function run_test(block, test, base)
  local names = title(block, test.name)
  if not host.wanted(names) then
    return
  end
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

local function broken(block, problem)
  local any = false
  each_test(block, function(inner, test)
    if host.wanted(title(inner, test.name)) then
      any = true
      host.begin()
      now.mark = host.letters()
      report(inner, test, "error", problem)
    end
  end)
  if not any then
    host.begin()
    now.mark = host.letters()
    report(block.parent or block, { name = block.name or "(file)", line = block.line }, "error", problem)
  end
end

local function run_block(block, before)
  host.restore(before.network)
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
  local ended, later = xpcall(call, host.locate, block.teardown)
  spies.revert(spied)
  host.forget(base.network)
  if not ended then
    host.begin()
    report(block.parent or block, { name = (block.name or "(file)") .. " teardown", line = block.line }, "error", later)
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
  -- What the file did before its tests is where they begin.
  local base = { network = host.snapshot(), last = now.last, sender = now.sender }
  run_block(root, base)
end

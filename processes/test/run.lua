--- Runs the tests of the boot library and of the blueprints: `lua5.3 processes/test/run.lua [FILE…]`.
---
--- The last line says how many passed and failed; the exit code is 0 when none failed.
local root = arg[0]:match("^(.*)/test/[^/]+$") or "."
local files = #arg > 0 and { table.unpack(arg) }
  or { "utils_test", "handlers_test", "process_test", "ao_test", "text_test", "bint_test", "crypto_test", "blueprints_test", "subscriptions_test", "library_test" }

local support = assert(loadfile(root .. "/test/support.lua"))(root)
local passed, failed = 0, 0
for _, file in ipairs(files) do
  -- Every file has its own names: a test adds to `tests`.
  local tests = {}
  local test = setmetatable({}, {
    __newindex = function(_, name, f)
      tests[#tests + 1] = { name = name, run = f }
    end,
  })
  support.start_again()
  local load_file = assert(loadfile(root .. "/test/" .. file .. ".lua"))
  load_file(test, support)
  for _, one in ipairs(tests) do
    local ok, problem = xpcall(one.run, debug.traceback)
    if ok then
      passed = passed + 1
    else
      failed = failed + 1
      support.start_again()
      io.stderr:write(("failed: %s: %s\n%s\n"):format(file, one.name, problem))
    end
  end
end
support.start_again()
io.stdout:write(("%d passed, %d failed\n"):format(passed, failed))
os.exit(failed == 0)

--- Runs Lua that the owner sends.

--- Compiles an expression or statements.
---
--- A message may say in its tag `File` which file the text is: errors then name that.
---@param text string
---@param file? string
---@return function|nil, string|nil problem
local function compile(text, file)
  local chunk = file and "@" .. file or "aos"
  local expression = load("return " .. text, chunk, "t")
  if expression then
    return expression
  end
  return load(text, chunk, "t")
end

--- Makes the function that runs a message's Data and prints what it gives.
---@param printed fun(value: any) is shown each value
---@return fun(msg: table)
return function(printed)
  return function(msg)
    local text = msg.Data
    if text == nil then
      text = ""
    elseif type(text) ~= "string" then
      -- With Content-Type application/json it was decoded.
      text = require("json").encode(text)
    end
    local run, problem = compile(text, msg.File)
    if not run then
      error(problem, 0)
    end
    local results = table.pack(run())
    if results.n > 1 or results[1] ~= nil then
      printed(table.unpack(results, 1, results.n))
    end
  end
end

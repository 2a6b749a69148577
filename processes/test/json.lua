--- JSON for tests under a stock Lua; the module has its own, in C. Same names, same order: keys sorted.
local json = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function text(value)
  return '"' .. value:gsub('[%c"\\]', function(c)
    return escapes[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

function json.encode(value)
  local kind = type(value)
  if kind == "nil" then
    return "null"
  elseif kind == "string" then
    return text(value)
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind == "number" then
    return math.type(value) == "integer" and tostring(value) or ("%.14g"):format(value)
  elseif kind ~= "table" then
    error("unexpected type '" .. kind .. "'")
  end
  local out = {}
  if #value > 0 or next(value) == nil then
    for at = 1, #value do
      out[at] = json.encode(value[at])
    end
    for key in pairs(value) do
      if math.type(key) ~= "integer" then
        error("invalid table: mixed or invalid key types")
      elseif key < 1 or key > #value then
        error("invalid table: sparse array")
      end
    end
    return "[" .. table.concat(out, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do
    if type(key) ~= "string" then
      error("invalid table: sparse array")
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for at, key in ipairs(keys) do
    out[at] = text(key) .. ":" .. json.encode(value[key])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local letters = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

function json.decode(source)
  local at = 1
  local function fail(what)
    error(("%s at character %d"):format(what, at))
  end
  local function space()
    at = source:find("[^ \n\r\t]", at) or #source + 1
  end
  local function string_here()
    local parts = {}
    at = at + 1
    while true do
      local to = source:find('["\\]', at) or fail("a text does not end")
      parts[#parts + 1] = source:sub(at, to - 1)
      at = to + 1
      if source:sub(to, to) == '"' then
        return table.concat(parts)
      end
      local letter = source:sub(at, at)
      at = at + 1
      if letter == "u" then
        local code = tonumber(source:sub(at, at + 3), 16)
        at = at + 4
        local low = source:match("^\\u(%x%x%x%x)", at)
        if code >= 0xd800 and code < 0xdc00 and low then
          code = 0x10000 + (code - 0xd800) * 0x400 + tonumber(low, 16) - 0xdc00
          at = at + 6
        end
        parts[#parts + 1] = utf8.char(code)
      else
        parts[#parts + 1] = letters[letter] or letter
      end
    end
  end
  local function value()
    space()
    local first = source:sub(at, at)
    if first == '"' then
      return string_here()
    elseif first == "{" or first == "[" then
      local close, out, count = first == "{" and "}" or "]", {}, 0
      at = at + 1
      space()
      while source:sub(at, at) ~= close do
        count = count + 1
        if first == "{" then
          if source:sub(at, at) ~= '"' then
            fail("expected a key")
          end
          local key = string_here()
          space()
          if source:sub(at, at) ~= ":" then
            fail("expected a colon")
          end
          at = at + 1
          out[key] = value()
        else
          out[count] = value()
        end
        space()
        local next_one = source:sub(at, at)
        if next_one == "," then
          at = at + 1
          space()
        elseif next_one ~= close then
          fail("expected a comma")
        end
      end
      at = at + 1
      return out
    end
    for word, meant in pairs({ ["true"] = true, ["false"] = false }) do
      if source:sub(at, at + #word - 1) == word then
        at = at + #word
        return meant
      end
    end
    if source:sub(at, at + 3) == "null" then
      at = at + 4
      return nil
    end
    local number = source:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at) or fail("unexpected character")
    at = at + #number
    return tonumber(number)
  end
  local result = value()
  space()
  if at <= #source then
    fail("unexpected character")
  end
  return result
end

return json

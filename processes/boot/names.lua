--- Finds the boot library under the names that scripts require: `.utils` is the file `utils`, and so on.
---
--- A script may bring files of its own with the plain names (`utils`, `token`); theirs and ours never meet, because
--- ours are remembered under the dotted names only. Whatever loads files (the module's preloaded sources, a path in
--- tests) is asked with the plain name.

--- Names that are part of a larger file: what to require, and which of its fields.
local parts = {
  [".crypto"] = { "crypto" },
  [".crypto.init"] = { "crypto" },
  [".crypto.digest.init"] = { "crypto", "digest" },
  [".crypto.cipher.init"] = { "crypto", "cipher" },
  [".crypto.mac.init"] = { "crypto", "mac" },
  [".crypto.mac.hmac"] = { "crypto", "mac", "createHmac" },
  [".crypto.kdf.init"] = { "crypto", "kdf" },
  [".crypto.kdf.pbkdf2"] = { "crypto", "kdf", "pbkdf2" },
  [".crypto.util.init"] = { "crypto", "utils" },
  [".crypto.util.hex"] = { "crypto", "utils", "hex" },
  [".crypto.util.array"] = { "crypto", "utils", "array" },
  [".crypto.util.stream"] = { "crypto", "utils", "stream" },
  [".crypto.util.queue"] = { "crypto", "utils", "queue" },
  [".crypto.cipher.issac"] = { "crypto", "cipher", "issac" },
  [".crypto.cipher.morus"] = { "crypto", "cipher", "morus" },
  [".crypto.cipher.norx"] = { "crypto", "cipher", "norx" },
  [".crypto.digest.md2"] = { "crypto", "digest", "md2" },
  [".crypto.digest.md4"] = { "crypto", "digest", "md4" },
  [".crypto.digest.md5"] = { "crypto", "digest", "md5" },
  [".crypto.digest.sha1"] = { "crypto", "digest", "sha1" },
  [".crypto.digest.sha2_256"] = { "crypto", "digest", "sha2_256" },
  [".crypto.digest.sha2_512"] = { "crypto", "digest", "sha2_512" },
  [".crypto.digest.sha3"] = { "crypto", "digest" },
  [".crypto.digest.blake2b"] = { "crypto", "digest", "blake2b" },
  [".crypto.cipher.aes"] = { "crypto", "cipher", "aes" },
  ["ao"] = { "ao" },
}

--- Asks every other searcher for the file of that plain name.
local function load_file(searcher, name)
  for _, other in ipairs(package.searchers) do
    if other ~= searcher then
      local loader, extra = other(name)
      if type(loader) == "function" then
        return loader, extra
      end
    end
  end
end

--- What the library's own files are called in traces: an author is shown lines of theirs only.
local own = debug.getinfo(1, "S").short_src
local sources = { [own] = true }

--- Notes how traces call a file: as this one is called, whatever loaded it.
local function note(plain, loader)
  sources[(own:gsub("names(%.?%w*)$", plain .. "%1"))] = true
  -- A long path is cut off in front, at another place for each name.
  local source = debug.getinfo(loader, "S")
  if source.what == "main" then
    sources[source.short_src] = true
  end
end

--- The searcher: for dotted names only, so that a script's own files are looked for as ever.
local function search(name)
  local part = parts[name]
  if part and (name ~= "." .. part[1]) and name ~= "ao" then
    return function()
      local value = require("." .. part[1])
      for at = 2, #part do
        value = value[part[at]]
      end
      return value
    end
  end
  local plain = name:match("^%.([%w_-]+)$")
  if not plain then
    return nil
  end
  local loader, extra = load_file(search, plain)
  if not loader then
    return "\n\tno part '" .. name .. "' in the boot library"
  end
  note(plain, loader)
  return function()
    return loader(plain, extra)
  end
end

if not package.loaded[".names"] then
  table.insert(package.searchers, 2, search)
  package.loaded[".names"] = { sources = sources }
end

return package.loaded[".names"]

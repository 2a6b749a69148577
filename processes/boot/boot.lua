--- What a process does when it begins: its `On-Boot` tag names the Lua that is run first.
---
--- `On-Boot = Data` runs the data of the process itself; otherwise the tag is the id of data that WeaveDrive mounts.

--- Makes the handler of the process's own message.
---@param eval fun(msg: table) runs the Data of a message
---@return fun(msg: table)
return function(eval)
  return function(msg)
    local source = msg.Tags["On-Boot"]
    if source == nil then
      return
    end
    if source == "Data" then
      eval({ Data = msg.Data, File = msg.File })
      return
    end
    local file, problem
    if io and io.open then
      file, problem = io.open("/data/" .. source, "r")
    end
    if not file then
      error(
        "On-Boot = " .. source .. " could not be read (" .. (problem or "there are no files here")
          .. "): the process needs the extension WeaveDrive, or On-Boot = Data",
        0
      )
    end
    local text = file:read("a")
    file:close()
    eval({ Data = text, File = msg.File })
  end
end

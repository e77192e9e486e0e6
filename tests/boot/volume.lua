-- A function of images/disk/volume.lua, called for a test: lua5.3 volume.lua ROOT FUNCTION ARGUMENT... prints its result
-- as JSON, or its error on standard error.
local root, name = arg[1], arg[2]
package.path = root .. "/images/init/lua/?.lua;" .. root .. "/images/disk/?.lua;" .. package.path
local json, volume = require "json", require "volume"

function volume.lay(below, above) volume.make_folders(above, volume.folders(below)) end

local words = {}
for index = 3, #arg do words[#words + 1] = tonumber(arg[index]) or arg[index] end
local ok, result = pcall(volume[name], table.unpack(words))
if not ok then
  io.stderr:write(tostring(result), "\n")
  os.exit(1)
end
if name == "folders" then json.list(result) end
print(json.encode({ result = result }))

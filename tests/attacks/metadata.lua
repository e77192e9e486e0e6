-- What the node's metadata step makes of a document: lua5.3 metadata.lua CHECKOUT KIND < DOCUMENT. KIND: openstack, cidata,
-- userdata, yaml. Prints JSON; or one line that says what is wrong, with exit code 1. Nothing else is an answer.
package.path = arg[1] .. "/images/init/lua/?.lua;" .. arg[1] .. "/images/metadata/?.lua;" .. package.path
local nothing = setmetatable({}, { __index = function() return function() end end })
for _, name in ipairs { "unistd", "sys.wait", "sys.stat", "fcntl", "dirent", "time", "signal", "errno", "poll", "stdlib" } do
  package.preload["posix." .. name] = function() return nothing end
end
local json, providers, userdata, yaml = require "json", require "providers", require "userdata", require "yaml"

local function applied(found)
  local keys, refused = userdata.keys(found.keys)
  return { hostname = userdata.hostname(found.hostname), instance = userdata.instance(found.instance), keys = json.list(keys), refused = refused }
end
local kinds = {
  openstack = function(text) return applied(providers.openstack_document(text)) end,
  cidata = function(text) return applied(providers.cidata_document(text)) end,
  userdata = function(text) return json.list(userdata.plan(json.decode(text))) end,
  yaml = yaml.decode,
}
local ok, made = pcall(kinds[arg[2]], io.read("a"))
if ok then made = made == nil and "null" or json.encode(made) end
print(made)
os.exit(ok and 0 or 1)

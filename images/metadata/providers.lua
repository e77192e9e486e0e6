-- Where metadata may come from. A provider looks at one place and returns what it found there, unchecked:
-- { from =, hostname =, instance =, keys = {…}, userdata = } — or nothing, when there is nothing.
local json, system = require "json", require "system"

local providers = {}

local LARGEST = 1 << 20
local MOUNTED = "/mnt"
local HTTP = "http://169.254.169.254/openstack/latest/"

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read(LARGEST + 1)
  file:close()
  if text and #text > LARGEST then error(path .. ": larger than 1 MiB", 0) end
  return text
end

-- What the documents mean (nothing here touches the system) -----------------------------------------------------------

function providers.openstack_document(unsafe_text, unsafe_userdata)
  local found = json.decode(unsafe_text)
  local keys = {}
  for _, key in pairs(type(found.public_keys) == "table" and found.public_keys or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return { hostname = found.hostname or found.name, instance = found.uuid, keys = keys, userdata = unsafe_userdata }
end

-- NoCloud's meta-data is YAML of which three things matter: two scalars and a list of keys. (It may be JSON, too.)
function providers.cidata_document(unsafe_text, unsafe_userdata)
  local ok, found = pcall(json.decode, unsafe_text)
  if not ok or type(found) ~= "table" then
    found = {}
    local list
    for line in (unsafe_text or ""):gmatch("[^\r\n]+") do
      local key, value = line:match("^([%w_-]+):%s*(.-)%s*$")
      local item = line:match("^%s*%-%s*(.-)%s*$")
      if key then
        value = value:gsub('^(["\'])(.*)%1$', "%2")
        list = value == "" and {} or nil
        found[key] = list or value
      elseif item and list then
        list[#list + 1] = item:gsub('^(["\'])(.*)%1$', "%2")
      end
    end
  end
  local keys = found["public-keys"]
  return { hostname = found["local-hostname"] or found.hostname, instance = found["instance-id"],
    keys = type(keys) == "table" and keys or { keys }, userdata = unsafe_userdata }
end

-- Looking ---------------------------------------------------------------------------------------------------------------

-- Block devices by label: blkid's lines, with the labels in lower case.
function providers.labels(blkid_output)
  local found = {}
  for line in blkid_output:gmatch("[^\n]+") do
    local device, label = line:match("^(/dev/[^:]+):.* LABEL=\"([^\"]*)\"")
    if device then found[#found + 1] = { device = device, label = label:lower(), type = line:match(" TYPE=\"([^\"]*)\"") } end
  end
  return found
end

local function with_mounted(device, kind, look)
  system.must("mount", "-t", kind, "-o", "ro,nosuid,nodev,noexec", device, MOUNTED)
  local ok, result = pcall(look)
  system.run { "umount", MOUNTED }
  if not ok then error(device .. ": " .. result, 0) end
  if result then result.from = device end
  return result
end

local function labelled(wanted, look)
  local _, output = system.run { "blkid" }
  for _, found in ipairs(providers.labels(output)) do
    if found.label == wanted and (found.type == "iso9660" or found.type == "vfat") then
      local result = with_mounted(found.device, found.type, look)
      if result then return result end
    end
  end
end

local function config_drive()
  return labelled("config-2", function()
    local text = read(MOUNTED .. "/openstack/latest/meta_data.json")
    return text and providers.openstack_document(text, read(MOUNTED .. "/openstack/latest/user_data"))
  end)
end

-- A file by HTTP; nil when the server has none, an error when there is no server. No more than 1 MiB is taken.
local function fetch(name)
  local file = "/tmp/" .. name
  local code, said = system.run({ "sh", "-c", "ulimit -f 2048; exec wget -q -O \"$1\" \"$2\"", "fetch", file, HTTP .. name }, 10)
  if code == 0 then return read(file) end
  if said:find("404", 1, true) then return nil end
  error(said ~= "" and said or "no answer", 0)
end

-- A machine that says it is OpenStack's is worth waiting for; any other is asked once.
local function openstack_http()
  local product = system.read("/sys/class/dmi/id/product_name") or ""
  local ok, text
  for attempt = 1, product:find("OpenStack", 1, true) and 12 or 1 do
    if attempt > 1 then system.sleep(2) end
    ok, text = pcall(fetch, "meta_data.json")
    if ok then break end
  end
  if not ok then return nil, "by HTTP: " .. text end
  if not text then return nil, "by HTTP: none there" end
  local has, unsafe_userdata = pcall(fetch, "user_data")
  local result = providers.openstack_document(text, has and unsafe_userdata or nil)
  result.from = HTTP
  return result
end

local function cdrom()
  local function cidata()
    local text, user = read(MOUNTED .. "/meta-data"), read(MOUNTED .. "/user-data")
    return (text or user) and providers.cidata_document(text, user)
  end
  local found = labelled("cidata", cidata)
  if found then return found end
  for _, name in ipairs(system.names("/dev")) do -- a CD with one file, whatever it is called
    if name:match("^sr%d+$") then
      local mounted, result = pcall(with_mounted, "/dev/" .. name, "iso9660", function()
        local text = read(MOUNTED .. "/config")
        return text and { keys = {}, userdata = text } or cidata()
      end)
      if mounted and result then return result end -- an empty drive cannot be mounted, and that is fine
    end
  end
end

local function file(path)
  local text = read(path)
  return text and { from = path, keys = {}, userdata = text }
end

-- The places to look at, in order, for the names on the command line: [{name, look}, …].
function providers.named(names)
  if #names == 0 then names = { "config-drive", "cdrom", "file", "openstack-http" } end
  local places = {}
  local function add(name, look) places[#places + 1] = { name = name, look = look } end
  for _, name in ipairs(names) do
    if name == "openstack" or name == "config-drive" then add("openstack", config_drive) end
    if name == "openstack" or name == "openstack-http" then add("openstack", openstack_http) end
    if name == "cdrom" then add(name, cdrom) end
    local path = name == "file" and "/etc/userdata" or name:match("^file=(/.*)$")
    if path then add("file", function() return file(path) end) end
    if not path and name ~= "openstack" and name ~= "config-drive" and name ~= "openstack-http" and name ~= "cdrom" then
      error(("unknown provider %q (openstack, config-drive, openstack-http, cdrom, file[=PATH])"):format(name), 0)
    end
  end
  return places
end

return providers

-- Where metadata may come from. A provider looks at one place and returns what it found there, unchecked:
-- { from =, hostname =, instance =, keys = {…}, userdata =, ignored = {…} } — or nothing, when there is nothing, and perhaps
-- why. A place that is there and that cannot be understood is an error: nobody goes on to the next one then.
local json, system, yaml = require "json", require "system", require "yaml"
local stat, stdlib = require "posix.sys.stat", require "posix.stdlib"

local providers = {}

local LARGEST = 1 << 20 -- bytes of a document
local MOUNTED = "/mnt"
local HTTP = "http://169.254.169.254/openstack/latest/"
local HTTP_SECONDS, HTTP_ATTEMPTS = 10, 12 -- with 2 s between attempts: a service that starts with its machines is waited for
local TOO_LARGE = 128 + 25 -- exit code of a program that SIGXFSZ ended
local ABSENT = { [2] = true, [20] = true } -- ENOENT, ENOTDIR

-- What the documents mean (nothing here touches the system) -----------------------------------------------------------

local function is_object(value) return type(value) == "table" and not getmetatable(value) end

local function read_document(name, decode, text)
  local ok, found = pcall(decode, text)
  if not ok then error(name .. ": " .. found, 0) end
  if not is_object(found) then error(name .. ": expected an object", 0) end
  return found
end

-- The text called `key`, or nil where it is null, empty or not there.
local function text_of(found, key)
  local value = json.given(found[key])
  if value ~= nil and type(value) ~= "string" then error(key .. ": expected a text", 0) end
  return value ~= "" and value or nil
end

-- Adds the public keys in `value` to `keys`: a text, a list, a mapping of names to keys (in the order of the names), or
-- EC2's {"0": {"openssh-key": …}}, in each other as they come.
local function add_keys(keys, value, name)
  value = json.given(value)
  if type(value) == "string" then
    keys[#keys + 1] = value
  elseif getmetatable(value) == json.array then
    for _, item in ipairs(value) do add_keys(keys, item, name) end
  elseif is_object(value) then
    if value["openssh-key"] then return add_keys(keys, value["openssh-key"], name) end
    local names = {}
    for each in pairs(value) do names[#names + 1] = each end
    table.sort(names)
    for _, each in ipairs(names) do add_keys(keys, value[each], name) end
  elseif value ~= nil then
    error(name .. ": expected public keys: a text, a list or a mapping", 0)
  end
end

-- The newer form of OpenStack's keys: [{"type": "ssh", "name": …, "data": KEY}]; other types are certificates.
local function typed_keys(list)
  local keys = {}
  if json.given(list) and getmetatable(list) ~= json.array then error("keys: expected a list", 0) end
  for _, key in ipairs(json.given(list) or {}) do
    if not is_object(key) then error("keys: expected a list of objects", 0) end
    if key.type == "ssh" then add_keys(keys, key.data, "keys") end
  end
  return keys
end

-- OpenStack's meta_data.json (Nova, "Metadata service: OpenStack format"); without it, the user data stands alone.
function providers.openstack_document(unsafe_text, unsafe_userdata)
  local found, keys = unsafe_text and read_document("meta_data.json", json.decode, unsafe_text) or {}, {}
  add_keys(keys, found.public_keys, "public_keys")
  if #keys == 0 then keys = typed_keys(found.keys) end
  return { hostname = text_of(found, "hostname") or text_of(found, "name"), instance = text_of(found, "uuid"), keys = keys,
    userdata = unsafe_userdata }
end

-- NoCloud's meta-data (YAML, or JSON as a part of it), which has the names of EC2's; so has a config drive's ec2 folder.
function providers.cidata_document(unsafe_text, unsafe_userdata)
  local empty = not unsafe_text or not unsafe_text:find("%S")
  local function decode(text) return yaml.decode(text) or {} end
  local found, keys = empty and {} or read_document("meta-data", decode, unsafe_text), {}
  add_keys(keys, found["public-keys"] or found.public_keys, "public-keys")
  return { hostname = text_of(found, "local-hostname") or text_of(found, "hostname"), instance = text_of(found, "instance-id"), keys = keys,
    userdata = unsafe_userdata }
end

-- The names of those files that are there, hold something, and are not looked at.
local function ignored(read, names)
  local found = {}
  for _, name in ipairs(names) do
    local ok, text = pcall(read, name)
    if not ok or text and text:find("[^%s{}]") then found[#found + 1] = name:match("[^/]+$") end
  end
  return found
end

-- A drive with OpenStack's layout, or EC2's. read: a file's name -> its text, or nothing.
function providers.config_drive(read)
  local latest = "openstack/latest/"
  local text, user, found = read(latest .. "meta_data.json"), read(latest .. "user_data"), nil
  if text or user then
    found = providers.openstack_document(text, user)
  else
    text, user = read "ec2/latest/meta-data.json", read "ec2/latest/user-data"
    if not (text or user) then error("neither openstack/latest nor ec2/latest has metadata or user data", 0) end
    found = providers.cidata_document(text, user)
  end
  found.ignored = ignored(read, { latest .. "vendor_data.json", latest .. "vendor_data2.json", latest .. "network_data.json" })
  return found
end

-- A drive with NoCloud's layout.
function providers.nocloud(read)
  local text, user = read "meta-data", read "user-data"
  if not (text or user) then error("neither meta-data nor user-data is there", 0) end
  local found = providers.cidata_document(text, user)
  found.ignored = ignored(read, { "vendor-data", "network-config" })
  return found
end

-- What an attempt at a file by HTTP came to (wget's exit code and messages): there, absent (404), wrong (any other answer), or
-- silent (no answer).
function providers.answered(code, said)
  if code == 0 then return "there" end
  if said:find("server returned error: HTTP/[%d.]+ 404") then return "absent" end
  return (code == TOO_LARGE or said:find("server returned error", 1, true)) and "wrong" or "silent"
end

-- Whether the firmware names a cloud that has OpenStack's metadata service; dmi: name of a field -> its text. Nova says it in
-- the product's or the vendor's name, clouds on VMware, and those with names of their own, in the chassis' asset tag.
local ASSET_TAGS = { ["OpenTelekomCloud"] = true, ["HUAWEICLOUD"] = true, ["SAP CCloud VM"] = true }
function providers.is_openstack(dmi)
  for _, field in ipairs { "product_name", "sys_vendor", "chassis_vendor", "chassis_asset_tag" } do
    local text = (dmi[field] or ""):gsub("%c", "")
    if text:find("OpenStack", 1, true) or field == "chassis_asset_tag" and ASSET_TAGS[text] then return true end
  end
  return false
end

-- Looking ---------------------------------------------------------------------------------------------------------------

-- A regular file's text; nil where there is none.
local function read(path)
  local file, why, code = io.open(path, "rb")
  if not file and ABSENT[code] then return nil end
  if not file then error(why, 0) end
  if stat.S_ISREG(stat.stat(path).st_mode) == 0 then error(path .. ": not a file", 0) end
  local text
  text, why = file:read(LARGEST + 1) -- neither of both: it is empty
  file:close()
  if why then error(path .. ": " .. why, 0) end
  text = text or ""
  if #text > LARGEST then error(path .. ": larger than 1 MiB", 0) end
  return text
end

-- A file of the mounted drive. No symlink leads out of it, and nothing is opened that is not a file (a FIFO would wait).
local function read_from_drive(name)
  local path = MOUNTED .. "/" .. name
  local real, why, code = stdlib.realpath(path)
  if not real and ABSENT[code] then return nil end
  if not real then error(name .. ": " .. why, 0) end
  if real:sub(1, #MOUNTED + 1) ~= MOUNTED .. "/" then error(name .. ": a symlink that leads out of the drive", 0) end
  if stat.S_ISREG(stat.stat(real).st_mode) == 0 then error(name .. ": not a file", 0) end
  return read(real)
end

-- Block devices by label: blkid's lines, with the labels in lower case.
function providers.labels(blkid_output)
  local found = {}
  for line in blkid_output:gmatch("[^\n]+") do
    local device, label = line:match("^(/dev/[^:]+):.* LABEL=\"([^\"]*)\"")
    if device then found[#found + 1] = { device = device, label = label:lower(), type = line:match(" TYPE=\"([^\"]*)\"") } end
  end
  return found
end

-- The label of an ISO 9660 file system, in lower case, from its first descriptor (ECMA-119, 8.4); nil if it is none.
function providers.iso_label(descriptor)
  if descriptor:sub(1, 6) ~= "\1CD001" then return nil end
  return (descriptor:sub(41, 72):match("^[^\0]*[^\0 ]") or ""):lower()
end

-- Block devices by label. busybox's blkid sees nothing in a volume of less than 68 KiB, as some tools make them, so that
-- ISO 9660 is looked for here.
local function labels()
  local _, output = system.run { "blkid" }
  local found, known = providers.labels(output), {}
  for _, each in ipairs(found) do known[each.device] = true end
  for _, name in ipairs(system.names("/sys/class/block")) do
    local device = "/dev/" .. name
    local opened = not known[device] and io.open(device, "rb") -- an empty drive cannot be opened
    if opened then
      local label = providers.iso_label(opened:seek("set", 32768) and opened:read(2048) or "")
      opened:close()
      if label then found[#found + 1] = { device = device, label = label, type = "iso9660" } end
    end
  end
  return found
end

local function mount(device, kind) system.must("mount", "-t", kind, "-o", "ro,nosuid,nodev,noexec", device, MOUNTED) end

-- What `look` finds on the mounted device, which is unmounted then.
local function looked_at(device, look)
  local ok, result = pcall(look, read_from_drive)
  system.run { "umount", MOUNTED }
  if not ok then error(device .. ": " .. result, 0) end
  if result then result.from = device end
  return result
end

local function labelled(wanted, look)
  for _, found in ipairs(labels()) do
    if found.label == wanted then
      if found.type ~= "iso9660" and found.type ~= "vfat" then
        error(("%s: labelled %s, but neither ISO 9660 nor FAT"):format(found.device, wanted), 0)
      end
      mount(found.device, found.type)
      return looked_at(found.device, look)
    end
  end
end

local function config_drive() return labelled("config-2", providers.config_drive) end

-- A CD without a label that says what it is: user data in a file `config` (LinuxKit's), or NoCloud's files.
local function unlabelled(read_file)
  local text = read_file "config"
  if text then return { keys = {}, userdata = text } end
  return (read_file "meta-data" or read_file "user-data") and providers.nocloud(read_file)
end

local function cdrom()
  local found = labelled("cidata", providers.nocloud)
  if found then return found end
  for _, name in ipairs(system.names("/dev")) do
    local device = "/dev/" .. name
    if name:match("^sr%d+$") and pcall(mount, device, "iso9660") then -- an empty drive cannot be mounted, and that is fine
      local result = looked_at(device, unlabelled)
      if result then return result end
    end
  end
end

-- A file by HTTP: what became of it (see `answered`), and its text or the reason. No more than 1 MiB is taken.
local function fetch(name)
  local file = "/tmp/" .. name
  local how, code, said
  for attempt = 1, HTTP_ATTEMPTS do
    if attempt > 1 then system.sleep(2) end
    code, said = system.run({ "sh", "-c", "ulimit -f 2048; exec wget -q -O \"$1\" \"$2\"", "fetch", file, HTTP .. name }, HTTP_SECONDS)
    how = providers.answered(code, said)
    if how == "there" then return how, read(file) end
    if how == "absent" or code == TOO_LARGE then break end
  end
  return how, name .. ": " .. (code == TOO_LARGE and "larger than 1 MiB" or said ~= "" and said or "no answer")
end

-- OpenStack's metadata service. On any other network the address may be anybody's, so that it is asked only on a machine
-- that says it is OpenStack's, or where the spec says so (`always`).
local function openstack_http(always)
  local dmi = setmetatable({}, { __index = function(_, field) return system.read("/sys/class/dmi/id/" .. field) end })
  if not always and not providers.is_openstack(dmi) then return nil, "by HTTP: not asked, for this machine does not say that it is OpenStack's" end
  local how, text = fetch "meta_data.json"
  if how == "wrong" then error(HTTP .. text, 0) end
  if how ~= "there" then return nil, "by HTTP: " .. text end
  local has, unsafe_userdata = fetch "user_data"
  if has ~= "there" and has ~= "absent" then error(HTTP .. unsafe_userdata, 0) end
  local result = providers.openstack_document(text, has == "there" and unsafe_userdata or nil)
  result.from = HTTP
  return result
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
  local known = {
    ["config-drive"] = function() add("openstack", config_drive) end,
    ["openstack-http"] = function() add("openstack", openstack_http) end,
    ["openstack-http=always"] = function() add("openstack", function() return openstack_http(true) end) end,
    cdrom = function() add("cdrom", cdrom) end,
    file = function() add("file", function() return file "/etc/userdata" end) end,
  }
  for _, name in ipairs(names) do
    local path = name:match("^file=(/.*)$")
    if name == "openstack" then
      known["config-drive"]()
      known["openstack-http"]()
    elseif path then
      add("file", function() return file(path) end)
    else
      (known[name] or error(("unknown provider %q (openstack, config-drive, openstack-http[=always], cdrom, file[=PATH])"):format(name), 0))()
    end
  end
  return places
end

return providers

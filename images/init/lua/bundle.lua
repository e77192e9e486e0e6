-- A bundle is a directory that the builder wrote: config.json (OCI), runtime.json (what has to exist around the
-- container), and the root file system as `rootfs`, or as `lower` under an overlay whose mounts runtime.json lists.
local json, system = require "json", require "system"

local bundle = {}

local PROPAGATION = { shared = 1, rshared = 1, private = 1, rprivate = 1, slave = 1, rslave = 1, unbindable = 1, runbindable = 1 }
local HOOK = "/usr/lib/nodekiln/prepare"
local CGROUPS = "/sys/fs/cgroup"

local function read_json(path)
  local text, why = system.read(path)
  if not text then error(why, 0) end
  local ok, result = pcall(json.decode, text)
  if not ok then error(path .. ": " .. result, 0) end
  return result
end

function bundle.load(path)
  local self = { path = path, name = path:match("[^/]+$"), config = read_json(path .. "/config.json"), runtime = {}, mounted = {} }
  if system.exists(path .. "/runtime.json") then self.runtime = read_json(path .. "/runtime.json") end
  for key, value in pairs(self.runtime) do if value == json.null then self.runtime[key] = nil end end
  local root = self.config.root.path
  self.root = root:sub(1, 1) == "/" and root or path .. "/" .. root
  self.annotations = self.config.annotations or {}
  return self
end

-- Before the container ------------------------------------------------------------------------------------------------

-- What one mount of runtime.json means to mount(8): the options of the mount itself, and the propagations to set after it.
function bundle.mount_steps(mount)
  local options, propagation = {}, {}
  for _, option in ipairs(mount.options or {}) do
    table.insert(PROPAGATION[option] and propagation or options, option)
  end
  -- LinuxKit's ["remount", "private"] asks for nothing but the propagation.
  if #propagation > 0 and #options == 1 and options[1] == "remount" then options = nil end
  return options, propagation
end

local function has(options, wanted)
  for _, option in ipairs(options or {}) do if option == wanted then return true end end
end

local function mount(self, item)
  local place = item.destination
  if place:sub(1, 1) ~= "/" then place = self.root .. "/" .. place end
  system.mkdir(place)
  for _, option in ipairs(item.options or {}) do
    local directory = option:match("^upperdir=(.*)$") or option:match("^workdir=(.*)$")
    if directory then system.mkdir(directory) end
  end
  local options, propagation = bundle.mount_steps(item)
  if options then
    local argv = { "mount", item.source or item.type or "none", place }
    if item.type and item.type ~= "" and item.type ~= "bind" then table.move({ "-t", item.type }, 1, 2, #argv + 1, argv) end
    if item.type == "bind" and not has(options, "rbind") and not has(options, "bind") then table.insert(options, "bind") end
    if #options > 0 then table.move({ "-o", table.concat(options, ",") }, 1, 2, #argv + 1, argv) end
    system.must(table.unpack(argv))
    if not has(options, "remount") then table.insert(self.mounted, place) end
    if has(options, "ro") and (has(options, "bind") or has(options, "rbind")) then
      system.must("mount", "-o", "remount,bind,ro", place) -- the kernel takes "ro" of a bind mount only the second time
    end
  end
  for _, kind in ipairs(propagation) do system.must("mount", "--make-" .. kind, place) end
end

-- A cgroup, with every controller of the kernel: each group above it hands them down.
local function make_cgroup(path)
  local group, controllers = CGROUPS, system.read(CGROUPS .. "/cgroup.controllers") or ""
  for name in path:gmatch("[^/]+") do
    for controller in controllers:gmatch("%S+") do
      pcall(system.set, group .. "/cgroup.subtree_control", "+" .. controller) -- refused for a group with processes
    end
    group = group .. "/" .. name
    system.mkdir(group)
  end
end

function bundle.prepare(self)
  for _, item in ipairs(self.runtime.mounts or {}) do mount(self, item) end
  for _, directory in ipairs(self.runtime.mkdir or {}) do
    system.mkdir(directory:sub(1, 1) == "/" and directory or self.root .. "/" .. directory)
  end
  for _, cgroup in ipairs(self.runtime.cgroups or {}) do make_cgroup(cgroup) end
end

-- Undo the mounts, the last one first; what was written into the container is gone, the next start is a fresh one.
function bundle.release(self)
  for index = #self.mounted, 1, -1 do
    if system.run { "umount", self.mounted[index] } ~= 0 then system.run { "umount", "-l", self.mounted[index] } end
  end
  self.mounted = {}
end

-- The config.json to start it with, written into `directory`: the root's path is absolute, a hook sets up what can only
-- be set up once the namespaces exist and the program does not run yet, and the protection from the kernel's OOM killer
-- that the node's own processes have is not inherited. Its cgroup is /system/NAME, or the one that it names, which is
-- counted from the root of all cgroups: the runtime would count from its own.
function bundle.write_config(self, directory)
  local config = self.config
  config.root.path = self.root
  config.process.oomScoreAdj = config.process.oomScoreAdj or 0
  config.linux = config.linux or {}
  config.linux.cgroupsPath = "/" .. (config.linux.cgroupsPath or "system/" .. self.name):gsub("^/+", "")
  local needs = #(self.runtime.interfaces or {}) > 0
  for _, path in pairs(self.runtime.bindNS or {}) do needs = needs or (path ~= "" and path ~= json.null) end
  if needs then
    config.hooks = config.hooks or {}
    config.hooks.createRuntime = config.hooks.createRuntime or json.list {}
    table.insert(config.hooks.createRuntime, { path = HOOK, args = json.list { HOOK, self.path } })
  end
  system.mkdir(directory)
  system.write(directory .. "/config.json", json.encode(config))
  return directory .. "/config.json"
end

-- Between "created" and "started" (the hook) ----------------------------------------------------------------------------

-- A veth pair by busybox, whose ip knows no `peer`: the kernel names the other end, which is found by its index.
local function add_veth(name, peer)
  system.must("ip", "link", "add", name, "type", "veth")
  local index = system.read("/sys/class/net/" .. name .. "/iflink"):match("%d+")
  for _, other in ipairs(system.names("/sys/class/net")) do
    if other ~= peer and (system.read("/sys/class/net/" .. other .. "/ifindex") or ""):match("%d+") == index then
      system.must("ip", "link", "set", other, "name", peer)
    end
  end
end

function bundle.join(self, pid)
  for _, interface in ipairs(self.runtime.interfaces or {}) do
    local name, kind, peer = interface.name, interface.add or "", interface.peer or ""
    if peer ~= "" then
      add_veth(name, peer)
    elseif kind ~= "" and interface.createInRoot then
      system.must("ip", "link", "add", name, "type", kind)
    elseif kind ~= "" then
      system.must("nsenter", "-t", tostring(pid), "-n", "ip", "link", "add", name, "type", kind)
    end
    if kind == "" or peer ~= "" or interface.createInRoot then
      system.must("ip", "link", "set", name, "netns", tostring(pid))
    end
  end
  for namespace, path in pairs(self.runtime.bindNS or {}) do
    if path ~= "" and path ~= json.null then
      system.mkdir(path:match("^(.*)/"))
      assert(io.open(path, "a")):close()
      system.must("mount", "-o", "bind", ("/proc/%d/ns/%s"):format(pid, namespace), path)
    end
  end
end

-- All bundles of a kind, in the order of their names.
function bundle.all(directory)
  local paths = {}
  for _, name in ipairs(system.names(directory)) do
    if system.exists(directory .. "/" .. name .. "/config.json") then paths[#paths + 1] = directory .. "/" .. name end
  end
  return paths
end

return bundle

-- Keeps containerd and the services running. One process, one loop: a look at every process each second, and a FIFO
-- for what `service start|stop|restart` wants at once. What it knows is in /run/nodekiln/services/NAME, so that a
-- supervisor which had to be started again goes on where the last one stopped.
local unistd, fcntl, poll = require "posix.unistd", require "posix.fcntl", require "posix.poll"
local signal, stat = require "posix.signal", require "posix.sys.stat"
local bundle, conditions, containerd = require "bundle", require "conditions", require "containerd"
local log, pods, policy, system = require "log", require "pods", require "policy", require "system"

-- UP holds the names of the services that have failed, on one line; it is there once every service has been judged.
local supervisor = { STATE = "/run/nodekiln/services", CONTROL = "/run/nodekiln/control", UP = "/run/nodekiln/services-up" }

local BUNDLES = "/containers/services"
local MEMORY = "/run/nodekiln/memory" -- bytes that services share: kept, so that a restarted one has the limit that it had
local CONTROLLERS = "/sys/fs/cgroup/cgroup.subtree_control"
local LOGGER = "binary:///usr/lib/nodekiln/logger?"
local LOGS = "/var/log"
local LAST_LINES = 10 -- of each log of a service that has failed, shown on the console

-- One service ---------------------------------------------------------------------------------------------------------

-- Its state goes to disk as one line: what `service list` shows, and what a new supervisor adopts.
local function enter(self, state, note)
  self.state, self.since, self.note = state, system.uptime(), note or ""
  system.write(self.directory .. "/state", ("%s %.2f %d %d %s %s\n"):format(
    state, self.since, self.restarts, self.pid or 0, self.birth or "-", self.note))
end

function supervisor.read_state(name)
  local line = system.read(supervisor.STATE .. "/" .. name .. "/state") or ""
  local state, since, restarts, pid, birth, note = line:match("^(%S+) (%S+) (%d+) (%d+) (%S+) (.-)\n")
  if not state then return nil end
  return { state = state, since = tonumber(since), restarts = tonumber(restarts), pid = tonumber(pid), birth = birth, note = note }
end

-- Its process is the one that was started, and has not ended. (One that ended at once was never seen: no birth.)
local function alive(self) return self.birth ~= nil and system.birth(self.pid) == self.birth end

-- What the node has for services: bytes of memory, and a set of the cgroup controllers.
local function machine()
  local found = { memory = tonumber(system.read(MEMORY) or ""), controllers = {} }
  if not found.memory then
    found.memory = system.available_memory()
    system.write(MEMORY, ("%d\n"):format(found.memory))
  end
  for name in (system.read(CONTROLLERS) or ""):gmatch("%S+") do found.controllers[name] = true end
  for _, name in ipairs { "memory", "pids" } do
    if not found.controllers[name] then system.say("[service] the kernel has no cgroup controller %s: services have no such limit", name) end
  end
  return found
end

-- Goes on where the supervisor before this one stopped. A first one starts what is to start.
local function adopt(self)
  local before = supervisor.read_state(self.name)
  if not before then return enter(self, self.policy["nodekiln.start"] == "auto" and "waiting" or "stopped") end
  for key, value in pairs(before) do self[key] = value end
  if self.state == "running" then
    for _, item in ipairs(self.runtime.mounts or {}) do table.insert(self.mounted, item.destination) end
  end
end

local function load(path, node)
  local self = bundle.load(path)
  local unknown, unused
  self.policy, unknown = policy.read(self.annotations)
  unused = policy.limit(self.policy, self.config, node.memory, node.controllers)
  self.namespace = self.runtime.namespace
  if not self.namespace or self.namespace == "" then self.namespace = "services.linuxkit" end
  self.directory, self.restarts = supervisor.STATE .. "/" .. self.name, 0
  self.again, self.delay, self.note = 0, 0, ""
  for _, line in ipairs(table.move(unused, 1, #unused, #unknown + 1, unknown)) do system.say("[service] %s: %s", self.name, line) end
  system.mkdir(self.directory)
  bundle.write_config(self, self.directory)
  adopt(self)
  return self
end

-- Take away what is left of it. The exit code of its task, when it has ended and containerd still knows it.
local function remove(self)
  local code, said = containerd.ctr(self.namespace, "task", "rm", self.name)
  code = tonumber(said:match("non%-zero exit code (%d+)")) or code -- ctr's own exit code does not tell it
  if containerd.ctr(self.namespace, "container", "rm", self.name) ~= 0 then -- so there is a task still
    containerd.ctr(self.namespace, "task", "rm", "--force", self.name)
    containerd.ctr(self.namespace, "container", "rm", self.name)
  end
  bundle.release(self)
  self.pid, self.birth = nil, nil
  return code
end

local function start(self)
  local began, pid_file = system.uptime(), self.directory .. "/pid"
  local ok, why = pcall(function()
    bundle.prepare(self)
    os.remove(pid_file)
    local code, said = containerd.ctr(self.namespace, "run", "--detach", "--config", self.directory .. "/config.json",
      "--log-uri", LOGGER .. ("limit=%d"):format(self.policy["nodekiln.log.size"]), "--pid-file", pid_file, self.name)
    if code ~= 0 then error(said, 0) end
  end)
  if ok then
    self.pid = tonumber(system.read(pid_file))
    self.birth = system.birth(self.pid)
    enter(self, "running", self.note)
    system.say("[service] %s: started in %.1f s", self.name, system.uptime() - began)
  else
    system.say("[service] %s: cannot start: %s", self.name, why)
    remove(self)
  end
  return ok, why
end

-- It has ended, or could not be started: what its policy says comes next.
local function ended(self, code, ran, why)
  local verdict
  verdict, self.delay, self.restarts = policy.after_exit(self.policy, code, ran, self.restarts)
  local how = why and "could not be started" or ("exited with code %d after %.1f s"):format(code, ran)
  local note = why and "could not be started" or ("exit code %d"):format(code)
  if verdict == "restart" then
    self.again = system.uptime() + self.delay
    enter(self, "waiting", note)
    system.say("[service] %s: %s; restart %d in %.1f s", self.name, how, self.restarts, self.delay)
  else
    enter(self, verdict, note)
    system.say("[service] %s: %s; %s", self.name, how, verdict == "done" and "it is done" or "not started again")
  end
end

local function try(self)
  local ok, why = start(self)
  if not ok then ended(self, 1, 0, why) end
end

-- Whether the conditions of its first start hold (nodekiln.after), or it has waited for them long enough. The console has
-- a line when it begins to wait, and one when it is started without.
local function ready(self)
  if self.ready or self.policy["nodekiln.after"] == "" then return true end
  local missing, limit = table.concat(conditions.missing(self.policy["nodekiln.after"]), ", "), self.policy["nodekiln.after.timeout"]
  self.asked = self.asked or system.uptime()
  if missing == "" or system.uptime() >= self.asked + limit then
    if missing ~= "" then system.say("[service] %s: started without %s, for which it waited %d s", self.name, missing, limit) end
    self.ready, self.note = true, ""
  elseif self.note == "" then
    system.say("[service] %s: waits for %s, for at most %d s", self.name, missing, limit)
    enter(self, "waiting", "waits for " .. missing)
  end
  return self.ready
end

local function tick(self)
  if self.state == "running" and not alive(self) then
    local ran = system.uptime() - self.since
    ended(self, remove(self), ran)
  elseif self.state == "waiting" and system.uptime() >= self.again and ready(self) then
    try(self)
  end
end

-- Ask several to stop, all at the same time; who does not is killed when its time is over.
local function stop(services)
  for _, self in ipairs(services) do
    if self.state == "running" then signal.kill(self.pid, signal.SIGTERM) end
  end
  local began = system.uptime()
  for _, self in ipairs(services) do
    local was_running = self.state == "running"
    if was_running then
      while alive(self) and system.uptime() < began + self.policy["nodekiln.stop.timeout"] do system.sleep(0.05) end
      local killed = alive(self)
      remove(self)
      system.say("[service] %s: stopped%s after %.1f s", self.name, killed and " by force" or "", system.uptime() - began)
    end
    self.restarts = 0
    enter(self, "stopped")
  end
end

-- All of them -----------------------------------------------------------------------------------------------------------

local function keep_containerd(daemon)
  if daemon:alive() then return true end
  system.reap()
  if daemon.again and system.uptime() < daemon.again then return false end
  if daemon.started then system.say("[containerd] ended after %.1f s; starting it again", system.uptime() - daemon.started) end
  local began = system.uptime()
  local ok, why = pcall(containerd.start, daemon)
  daemon.failures = ok and 0 or daemon.failures + 1
  daemon.again = system.uptime() + math.min(60, 2.0 ^ daemon.failures)
  if ok then
    system.say("[containerd] up in %.1f s", system.uptime() - began)
  else
    system.say("[containerd] %s", why)
    for _, line in ipairs(system.tail("/var/log/containerd.log", 5)) do system.say("[containerd] | %s", line) end
  end
  return ok
end

-- A disk may still hold the containers of the boot before.
local function clear_leftovers(services)
  local known = {}
  for _, self in ipairs(services) do
    if not known[self.namespace] then
      known[self.namespace] = {}
      local _, said = containerd.ctr(self.namespace, "container", "ls", "--quiet")
      for id in said:gmatch("%S+") do known[self.namespace][id] = true end
    end
    if self.state ~= "running" and known[self.namespace][self.name] then remove(self) end
  end
end

-- Why it counts as failed, on one line.
local function reason(self)
  if self.note == "" then return self.name .. " (containerd is not up)" end
  local starts = self.restarts + (self.state == "waiting" and 0 or 1)
  return ("%s (%s, %d start%s)"):format(self.name, self.note, starts, starts == 1 and "" or "s")
end

-- Services by what policy.judge says of them; one that waits for a containerd which does not come up has failed.
local function judged(services, containerd_failed)
  local found = { up = {}, failed = {}, pending = {} }
  for _, self in ipairs(services) do
    self.lived = system.uptime() - self.since
    local verdict, runs = policy.judge(self.policy, self), self.state == "running" and alive(self)
    if self.state == "running" and not runs then verdict = "pending" end -- the next tick finds out
    if verdict == "pending" and not runs and containerd_failed then verdict = "failed" end
    if verdict then table.insert(found[verdict], self) end
  end
  return found
end

local function show_logs(self)
  for _, file in ipairs { log.paths(LOGS, self.name) } do
    for _, line in ipairs(system.tail(file, LAST_LINES)) do system.say("[service] %s| %s", self.name, line) end
  end
end

local function names(services, describe)
  local words = {}
  for index, self in ipairs(services) do words[index] = describe and describe(self) or self.name end
  return table.concat(words, describe and ", " or " ")
end

-- Says which services are up or have failed, once all are judged, and again when others have failed than before: `known`
-- is what this returned the last time, nil at first.
local function report(services, containerd_failed, known)
  local found = judged(services, containerd_failed)
  local failed = names(found.failed)
  if #found.pending > 0 or failed == known then return known end
  local up = #found.up > 0 and names(found.up) or "none"
  if failed == "" then
    system.say("nodekiln: services are up: %s (%.1f s)", up, system.uptime())
  else
    system.say("nodekiln: services have failed: %s; running: %s (%.1f s)", names(found.failed, reason), up, system.uptime())
  end
  for _, self in ipairs(found.failed) do
    if not (" " .. (known or "") .. " "):find(" " .. self.name .. " ", 1, true) then show_logs(self) end
  end
  system.write(supervisor.UP, failed .. "\n")
  return failed
end

local function obey(services, line)
  local verb, name = line:match("^(%a+) ?(%S*)$")
  for _, self in ipairs(services) do
    if self.name == name then
      if verb == "stop" or verb == "restart" then stop { self } end
      if (verb == "start" or verb == "restart") and self.state ~= "running" then
        self.restarts = 0
        try(self)
      end
    end
  end
  return verb == "shutdown"
end

function supervisor.run()
  local services, daemon, node = {}, containerd.adopt(), machine()
  for _, path in ipairs(bundle.all(BUNDLES)) do
    local ok, result = pcall(load, path, node)
    if ok then services[#services + 1] = result else system.say("[service] %s: cannot be read: %s", path, result) end
  end
  if not system.exists(supervisor.CONTROL) then stat.mkfifo(supervisor.CONTROL, tonumber("600", 8)) end
  local control = fcntl.open(supervisor.CONTROL, fcntl.O_RDWR | fcntl.O_NONBLOCK) -- both ends are ours: it never closes

  local known, cleared, pending = (system.read(supervisor.UP) or ""):match("(.-)\n"), false, ""
  while true do
    if keep_containerd(daemon) then
      if not cleared then clear_leftovers(services) end
      cleared = true
      for _, self in ipairs(services) do tick(self) end
    end
    known = report(services, daemon.failures > 0, known)
    if poll.rpoll(control, 1000) == 1 then
      pending = pending .. (unistd.read(control, 4096) or "")
      for line in pending:gmatch("([^\n]*)\n") do
        if obey(services, line) then
          stop(services)
          pods.stop(pods.grace(system.kernel_options()))
          containerd.stop(daemon)
          os.remove(supervisor.CONTROL)
          return
        end
      end
      pending = pending:match("[^\n]*$")
    end
  end
end

return supervisor

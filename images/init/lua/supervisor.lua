-- Keeps containerd and the services running. One process, one loop: a look at every process each second, and a FIFO
-- for what `service start|stop|restart` wants at once. What it knows is in /run/nodekiln/services/NAME, so that a
-- supervisor which had to be started again goes on where the last one stopped.
local unistd, fcntl, poll = require "posix.unistd", require "posix.fcntl", require "posix.poll"
local signal, stat = require "posix.signal", require "posix.sys.stat"
local bundle, containerd, policy, system = require "bundle", require "containerd", require "policy", require "system"

local supervisor = { STATE = "/run/nodekiln/services", CONTROL = "/run/nodekiln/control", UP = "/run/nodekiln/services-up" }

local BUNDLES = "/containers/services"
local LOGGER = "binary:///usr/lib/nodekiln/logger?"

-- One service ---------------------------------------------------------------------------------------------------------

-- Its state goes to disk as one line: what `service list` shows, and what a new supervisor adopts.
local function enter(self, state, note)
  self.state, self.since = state, system.uptime()
  system.write(self.directory .. "/state", ("%s %.2f %d %d %s %s\n"):format(
    state, self.since, self.restarts, self.pid or 0, self.birth or "-", note or ""))
end

function supervisor.read_state(name)
  local line = system.read(supervisor.STATE .. "/" .. name .. "/state") or ""
  local state, since, restarts, pid, birth, note = line:match("^(%S+) (%S+) (%d+) (%d+) (%S+) (.-)\n")
  if not state then return nil end
  return { state = state, since = tonumber(since), restarts = tonumber(restarts), pid = tonumber(pid), birth = birth, note = note }
end

-- Its process is the one that was started, and has not ended. (One that ended at once was never seen: no birth.)
local function alive(self) return self.birth ~= nil and system.birth(self.pid) == self.birth end

local function load(path)
  local self = bundle.load(path)
  local complaints
  self.policy, complaints = policy.read(self.annotations)
  self.namespace = self.runtime.namespace
  if not self.namespace or self.namespace == "" then self.namespace = "services.linuxkit" end
  self.directory, self.restarts = supervisor.STATE .. "/" .. self.name, 0
  for _, line in ipairs(complaints) do system.say("[service] %s: %s", self.name, line) end
  system.mkdir(self.directory)
  bundle.write_config(self, self.directory)
  local before = supervisor.read_state(self.name)
  if before and before.state == "running" and system.birth(before.pid) == before.birth then
    self.pid, self.birth, self.restarts = before.pid, before.birth, before.restarts
    self.state, self.since = "running", before.since
    for _, item in ipairs(self.runtime.mounts or {}) do table.insert(self.mounted, item.destination) end
  else
    enter(self, "stopped")
  end
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
    enter(self, "running")
    system.say("[service] %s: started in %.1f s", self.name, system.uptime() - began)
  else
    system.say("[service] %s: cannot start: %s", self.name, why)
    remove(self)
  end
  return ok, why
end

-- It has ended, or could not be started: what its policy says comes next.
local function ended(self, code, ran, why)
  local verdict, delay
  verdict, delay, self.restarts = policy.after_exit(self.policy, code, ran, self.restarts)
  local how = why and "could not be started" or ("exited with code %d after %.1f s"):format(code, ran)
  if verdict == "restart" then
    self.again = system.uptime() + delay
    enter(self, "waiting", how)
    system.say("[service] %s: %s; restart %d in %.1f s", self.name, how, self.restarts, delay)
  else
    enter(self, verdict, how)
    system.say("[service] %s: %s; %s", self.name, how, verdict == "done" and "it is done" or "not started again")
  end
end

local function try(self)
  local ok, why = start(self)
  if not ok then ended(self, 1, 0, why) end
end

local function tick(self)
  if self.state == "running" and not alive(self) then
    local ran = system.uptime() - self.since
    ended(self, remove(self), ran)
  elseif self.state == "waiting" and system.uptime() >= self.again then
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

local function report(services)
  local up, down = {}, {}
  for _, self in ipairs(services) do
    if self.state == "running" or self.state == "done" then up[#up + 1] = self.name
    elseif self.policy["nodekiln.start"] == "auto" then down[#down + 1] = self.name end
  end
  if #down == 0 then
    system.say("nodekiln: services are up: %s (%.1f s)", #up > 0 and table.concat(up, " ") or "none", system.uptime())
  else
    system.say("nodekiln: services have failed: %s; running: %s (%.1f s)", table.concat(down, " "), table.concat(up, " "), system.uptime())
  end
  system.write(supervisor.UP, table.concat(down, " ") .. "\n")
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
  local services, daemon = {}, containerd.adopt()
  for _, path in ipairs(bundle.all(BUNDLES)) do
    local ok, result = pcall(load, path)
    if ok then services[#services + 1] = result else system.say("[service] %s: cannot be read: %s", path, result) end
  end
  if not system.exists(supervisor.CONTROL) then stat.mkfifo(supervisor.CONTROL, tonumber("600", 8)) end
  local control = fcntl.open(supervisor.CONTROL, fcntl.O_RDWR | fcntl.O_NONBLOCK) -- both ends are ours: it never closes

  local first, pending = not system.exists(supervisor.UP), ""
  while true do
    if keep_containerd(daemon) then
      if first then
        clear_leftovers(services)
        for _, self in ipairs(services) do
          if self.state == "stopped" and self.policy["nodekiln.start"] == "auto" then try(self) end
        end
      end
      for _, self in ipairs(services) do tick(self) end
    end
    if first then report(services) end
    first = false
    if poll.rpoll(control, 1000) == 1 then
      pending = pending .. (unistd.read(control, 4096) or "")
      for line in pending:gmatch("([^\n]*)\n") do
        if obey(services, line) then
          stop(services)
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

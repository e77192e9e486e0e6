-- containerd as a child of ours, and ctr, which speaks to it.
local unistd, signal = require "posix.unistd", require "posix.signal"
local log, system = require "log", require "system"

local containerd = { SOCKET = "/run/containerd/containerd.sock" }

local CGROUP = "/sys/fs/cgroup/podruntime/runtime/cgroup.procs"
local PID_FILE = "/run/nodekiln/containerd.pid"
local PATIENCE = 60 -- seconds until its socket must be there

local function alive(self) return self.birth ~= nil and system.birth(self.pid) == self.birth end

-- The containerd of an earlier supervisor, or none.
function containerd.adopt()
  local pid, birth = (system.read(PID_FILE) or ""):match("^(%d+) (%d+)")
  return { pid = tonumber(pid), birth = birth, failures = 0, alive = alive }
end

function containerd.start(self)
  os.remove(containerd.SOCKET)
  local out, err = log.start("/var/log", "containerd")
  self.pid = system.start({ "containerd", "--config", "/etc/containerd/config.toml" }, { [1] = out, [2] = err })
  unistd.close(out)
  unistd.close(err)
  local moved, why = pcall(system.set, CGROUP, tostring(self.pid))
  if not moved then system.say("[containerd] stays in its supervisor's cgroup: %s", why) end
  self.birth, self.started = system.birth(self.pid), system.uptime()
  system.write(PID_FILE, ("%d %s\n"):format(self.pid, self.birth))
  while not system.exists(containerd.SOCKET) do
    if not self:alive() then error(("containerd ended with exit code %d"):format(system.wait(self.pid)), 0) end
    if system.uptime() > self.started + PATIENCE then error(("containerd has no socket after %d s"):format(PATIENCE), 0) end
    system.sleep(0.05)
  end
end

function containerd.stop(self)
  if not self:alive() then return end
  signal.kill(self.pid, signal.SIGTERM)
  local deadline = system.uptime() + 5
  while self:alive() and system.uptime() < deadline do system.wait(self.pid, 0.1) end
  if self:alive() then signal.kill(self.pid, signal.SIGKILL) end
  os.remove(PID_FILE)
end

-- Exit code and words of a ctr command.
function containerd.ctr(namespace, ...)
  return system.run({ "ctr", "--connect-timeout", "20s", "--namespace", namespace, ... }, 90)
end

return containerd

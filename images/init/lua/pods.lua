-- The end of pods, when services (the kubelet among them) have stopped and containerd still runs. Pods are containers of
-- containerd's CRI plugin: its namespace is k8s.io, and each pod has a container of kind "sandbox" that only waits.
local signal = require "posix.signal"
local containerd, system = require "containerd", require "system"

local pods = {}

local NAMESPACE = "k8s.io"
local SHIMS = "/run/containerd/io.containerd.runtime.v2.task/" .. NAMESPACE -- a folder for each container that has a task
local GRACE, LONGEST_GRACE = 30, 600 -- seconds between SIGTERM and SIGKILL

-- Seconds that pods have to end, by the kernel's command line (nodekiln.pods.grace).
function pods.grace(options)
  local seconds = tonumber(options["nodekiln.pods.grace"])
  return seconds and seconds >= 0 and seconds <= LONGEST_GRACE and seconds or GRACE
end

-- The process ids of containers, and those of sandboxes. tasks: words of `ctr task ls`. sandboxes: ids, one a line.
function pods.processes(tasks, sandboxes)
  local kind, containers, waiting = {}, {}, {}
  for id in sandboxes:gmatch("%S+") do kind[id] = waiting end
  for id, pid in tasks:gmatch("(%S+)%s+(%d+)%s+%u+") do
    if tonumber(pid) > 0 then table.insert(kind[id] or containers, tonumber(pid)) end
  end
  return containers, waiting
end

local function kill(pids, number)
  for _, pid in ipairs(pids) do signal.kill(pid, number) end
end

-- Those that have not ended, after at most `seconds`. births: process id -> when it was started.
local function remaining(births, seconds)
  local deadline, left = system.uptime() + seconds, nil
  repeat
    if left then system.sleep(0.05) end
    left = {}
    for pid, birth in pairs(births) do
      if system.birth(pid) == birth then left[#left + 1] = pid end
    end
  until #left == 0 or system.uptime() >= deadline
  return left
end

-- Ends every pod: SIGTERM, `grace` seconds, SIGKILL; sandboxes last. A node without pods does nothing.
function pods.stop(grace)
  if #system.names(SHIMS) == 0 then return end
  local code, tasks = containerd.ctr(NAMESPACE, "task", "ls")
  local found, sandboxes = containerd.ctr(NAMESPACE, "container", "ls", "--quiet", 'labels."io.cri-containerd.kind"==sandbox')
  if code ~= 0 or found ~= 0 then return system.say("[pods] cannot be listed: %s", code ~= 0 and tasks or sandboxes) end
  local began, births = system.uptime(), {}
  local containers, waiting = pods.processes(tasks, sandboxes)
  for _, pid in ipairs(containers) do births[pid] = system.birth(pid) end
  kill(containers, signal.SIGTERM)
  local left = remaining(births, grace)
  kill(left, signal.SIGKILL)
  kill(waiting, signal.SIGKILL)
  system.say("[pods] %d containers stopped in %.1f s, %d of them by force", #containers, system.uptime() - began, #left)
end

return pods

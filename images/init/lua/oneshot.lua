-- onboot and onshutdown: one container after another, in plain runc. Each has its own line on the console.
local unistd = require "posix.unistd"
local bundle, log, system = require "bundle", require "log", require "system"

local oneshot = {}

local LOGS = "/run/log/onboot"
local LAST_LINES = { ok = 3, failed = 15 } -- of what a step said, shown on the console

local function run(path, name)
  local self = bundle.load(path)
  local work = "/run/nodekiln/oneshot/" .. name
  bundle.prepare(self)
  bundle.write_config(self, work)
  local out, err, copier = log.start(LOGS, name)
  local code = system.wait(system.start({ "runc", "run", "--bundle", work, name }, { [1] = out, [2] = err }))
  unistd.close(out)
  unistd.close(err)
  system.wait(copier, 1) -- so that the last words are in the file; a process that was left behind may keep it open
  bundle.release(self)
  return code
end

-- Run one bundle. True when it succeeded; else the console has said what failed, how, and what it said itself.
local function step(kind, path)
  local name, started = path:match("[^/]+$"), system.uptime()
  local ok, result = pcall(run, path, name)
  local took = system.uptime() - started
  if ok and result == 0 then
    system.say("[%s] %s: ok in %.1f s", kind, name, took)
  elseif ok then
    system.say("[%s] %s: failed with exit code %d after %.1f s", kind, name, result, took)
  else
    system.say("[%s] %s: failed: %s", kind, name, result)
  end
  local failed = not (ok and result == 0)
  local out, err = log.paths(LOGS, name)
  local everything = failed or system.kernel_options()["nodekiln.debug"]
  for _, file in ipairs(everything and { out, err } or { out }) do
    for _, line in ipairs(system.tail(file, everything and LAST_LINES.failed or LAST_LINES.ok)) do
      system.say("[%s] %s| %s", kind, name, line)
    end
  end
  return not failed
end

-- What happens after a failed boot: the command line's word, else a halt (an immutable node that did not come up as it
-- was built must not pretend), else a shell where somebody is debugging.
function oneshot.failure_policy(options)
  local choice = options["nodekiln.onboot_failure"]
  if choice == "halt" or choice == "poweroff" or choice == "reboot" or choice == "shell" then return choice end
  return options["nodekiln.debug"] and "shell" or "halt"
end

function oneshot.onboot()
  local paths = bundle.all("/containers/onboot")
  for index, path in ipairs(paths) do
    if not step("onboot", path) then
      local policy = oneshot.failure_policy(system.kernel_options())
      system.say("nodekiln: boot stopped at %s; %d more onboot steps and all services do not start (%s)",
        path:match("[^/]+$"), #paths - index, policy)
      system.write("/run/nodekiln/boot-stopped", path .. "\n")
      if policy == "shell" then
        system.say("nodekiln: emergency shell; logs are in %s; `reboot` or `poweroff` ends it", LOGS)
        system.wait(system.start({ "setsid", "cttyhack", "sh", "-l" }, { [0] = 0 }))
        policy = "halt"
      end
      system.run { "/sbin/" .. policy }
      return 1
    end
  end
  return 0
end

-- At the end every step gets its turn, whatever happened to the one before.
function oneshot.onshutdown()
  local failures = 0
  for _, path in ipairs(bundle.all("/containers/onshutdown")) do
    if not step("onshutdown", path) then failures = failures + 1 end
  end
  return failures == 0 and 0 or 1
end

-- Volumes: what `lower` holds, writable as an overlay in memory where the builder left a `tmp` for that, else read-only.
function oneshot.volumes()
  local failures = 0
  for _, name in ipairs(system.names("/containers/volumes")) do
    local base = "/containers/volumes/" .. name
    local ok, why = pcall(function()
      if system.is_directory(base .. "/tmp") then
        system.must("mount", "-t", "tmpfs", "tmpfs", base .. "/tmp")
        system.mkdir(base .. "/tmp/upper")
        system.mkdir(base .. "/tmp/work")
        system.must("mount", "-t", "overlay", "-o", ("lowerdir=%s/lower,upperdir=%s/tmp/upper,workdir=%s/tmp/work"):format(base, base, base),
          "overlay", base .. "/merged")
      else -- an overlay wants two layers; one that cannot be written is simply itself
        system.must("mount", "-o", "bind", base .. "/lower", base .. "/merged")
        system.must("mount", "-o", "remount,bind,ro", base .. "/merged")
      end
    end)
    if not ok then
      failures = failures + 1
      system.say("[volumes] %s: failed: %s", name, why)
    end
  end
  return failures == 0 and 0 or 1
end

return oneshot

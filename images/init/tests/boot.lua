local json, policy, bundle, oneshot, system = require "json", require "policy", require "bundle", require "oneshot", require "system"
local conditions, pods = require "conditions", require "pods"

test("JSON comes back as it was", function()
  local text = '{"a":[1,2,{"x":null}],"b":18446744073709551615,"c":-0.5,"d":"q\\u000a","e":[],"f":{},"g":true}'
  same(json.encode(json.decode(text)), text)
end)
test("JSON: escapes, surrogates, white space", function()
  same(json.decode(' [ "\\u00e9\\ud83d\\ude00\\/" ,\n1 ] '), { "é😀/", 1 })
end)
test("JSON: what is wrong is an error with its line", function()
  for text, why in pairs { ['{"a":1,}'] = "expected a key", ["[1 2]"] = "expected ','", ['"abc'] = "unfinished", ["[1] x"] = "after the value",
    ["\n\n?"] = "line 3", ["{1:2}"] = "expected a key", ['"\\x"'] = "bad escape", [""] = "expected a value" } do
    raises(why, json.decode, text)
  end
  raises("too deep", json.decode, ("["):rep(1000))
end)

test("the kernel's command line", function()
  same(system.kernel_options("console=ttyS0 nodekiln.debug a=b=c quiet"), { console = "ttyS0", ["nodekiln.debug"] = "", a = "b=c", quiet = "" })
end)
test("a failed onboot step halts, unless the command line says otherwise", function()
  local policies = { [""] = "halt", ["nodekiln.debug"] = "shell", ["nodekiln.onboot_failure=reboot"] = "reboot",
    ["nodekiln.debug nodekiln.onboot_failure=halt"] = "halt", ["nodekiln.onboot_failure=nonsense"] = "halt" }
  for cmdline, wanted in pairs(policies) do same(oneshot.failure_policy(system.kernel_options(cmdline)), wanted) end
end)

test("runtime.json's mounts: propagation is a step of its own", function()
  local options, propagation = bundle.mount_steps { options = { "remount", "private" } }
  same({ options, propagation }, { nil, { "private" } })
  options, propagation = bundle.mount_steps { options = { "lowerdir=/a", "rshared" } }
  same({ options, propagation }, { { "lowerdir=/a" }, { "rshared" } })
end)

local function read(annotations) return (policy.read(annotations)) end
test("restart: by default after a failure, sooner first and later later", function()
  local default, delays, restarts = read {}, {}, 0
  for index = 1, 8 do
    local verdict, delay
    verdict, delay, restarts = policy.after_exit(default, 1, 0.1, restarts)
    same(verdict, "restart")
    delays[index] = delay // 1 | 0
  end
  same(delays, { 1, 2, 4, 8, 16, 32, 60, 60 })
  same(policy.after_exit(default, 0, 0.1, 0), "done")
end)
test("restart: a long run counts as a good one", function()
  local _, delay, restarts = policy.after_exit(read {}, 1, 61, 5)
  same({ delay // 1 | 0, restarts }, { 1, 1 })
end)
test("restart: always, no, and no more than max", function()
  same(policy.after_exit(read { ["nodekiln.restart"] = "always" }, 0, 0, 0), "restart")
  same(policy.after_exit(read { ["nodekiln.restart"] = "no" }, 1, 0, 0), "failed")
  same(policy.after_exit(read { ["nodekiln.restart.max"] = "3" }, 1, 0, 2), "restart")
  same(policy.after_exit(read { ["nodekiln.restart.max"] = "3" }, 1, 0, 3), "failed")
end)

-- A service as the supervisor hands it to policy.judge; what is not said is that of one that has just been started.
local function service(fields)
  return setmetatable(fields, { __index = { state = "running", restarts = 0, lived = 0, delay = 0 } })
end
test("a service is up when it has lived for its settling time, and not before", function()
  same(policy.judge(read {}, service {}), "pending")
  same(policy.judge(read {}, service { lived = 4.9 }), "pending")
  same(policy.judge(read {}, service { lived = 5 }), "up")
  same(policy.judge(read { ["nodekiln.settle"] = "0" }, service {}), "up")
  same(policy.judge(read { ["nodekiln.settle"] = "30" }, service { lived = 29 }), "pending")
end)
test("a service has failed after three starts, or when it will not be started again soon", function()
  same(policy.judge(read {}, service { state = "waiting", restarts = 2, delay = 2 }), "pending")
  same(policy.judge(read {}, service { state = "waiting", restarts = 3, delay = 4 }), "failed")
  same(policy.judge(read {}, service { state = "waiting", restarts = 1, delay = 60 }), "failed")
  same(policy.judge(read {}, service { state = "failed" }), "failed")
end)
test("a service that has failed is up again after a good run, not after each start", function()
  same(policy.judge(read {}, service { restarts = 3, lived = 30 }), "failed")
  same(policy.judge(read {}, service { restarts = 3, lived = 60 }), "up")
end)
test("a service that has done its work is up, one that nobody wants is neither", function()
  same(policy.judge(read {}, service { state = "done" }), "up")
  same(policy.judge(read {}, service { state = "stopped" }), nil)
end)
test("every crash loop is found out: no exit code, life or backoff keeps it pending", function()
  for _, lived in ipairs { 0, 1, 4.9 } do
    for _, backoff in ipairs { "0", "1", "7", "3600" } do
      local rules, restarts, starts, verdict = read { ["nodekiln.restart.backoff"] = backoff }, 0, 0, "pending"
      while verdict == "pending" do
        local _, delay
        starts = starts + 1
        _, delay, restarts = policy.after_exit(rules, 255, lived, restarts)
        verdict = policy.judge(rules, service { state = "waiting", restarts = restarts, delay = delay })
      end
      same({ verdict, starts <= 3 }, { "failed", true })
    end
  end
end)

local GIB = 1 << 30
test("memory: sizes, shares, everything, and what is kept free", function()
  for text, wanted in pairs { ["4096"] = 4096, ["64M"] = 64 << 20, ["2G"] = 2 * GIB, ["25%"] = GIB, max = math.huge, auto = 4 * GIB - 4 * GIB // 5 } do
    same(policy.memory(text, 4 * GIB), wanted)
  end
  same(policy.memory("auto", 64 * GIB), 63 * GIB)
  for _, text in ipairs { "", "0", "0%", "-1", "1.5G", "64MB", "M", "a lot", "99999999999999999999T" } do same(policy.memory(text, GIB), nil) end
end)
local BOTH = { pids = true, memory = true }
test("limits: a service without any gets the default ones", function()
  local config = {}
  same(policy.limit(read {}, config, GIB, BOTH), {})
  same(config.linux.resources, { pids = { limit = 4096 }, memory = { limit = GIB - GIB // 5 } })
end)
test("limits: annotations change them, resources win", function()
  local config = { annotations = { ["nodekiln.pids.max"] = "max", ["nodekiln.memory.max"] = "50%" } }
  same(policy.limit(read(config.annotations), config, GIB, BOTH), {})
  same(config.linux.resources, { memory = { limit = GIB // 2 } })
  config = { annotations = config.annotations, linux = { resources = { memory = { limit = -1 }, pids = { limit = 7 }, devices = {} } } }
  same(#policy.limit(read(config.annotations), config, GIB, BOTH), 2)
  same(config.linux.resources, { memory = { limit = -1 }, pids = { limit = 7 }, devices = {} })
end)
test("limits: none for a kernel without the controller; a limit of swap alone is left alone", function()
  local config = { linux = { resources = { memory = { swap = 5 } } } }
  policy.limit(read {}, config, GIB, { memory = true })
  same(config.linux.resources, { memory = { swap = 5 } })
end)
test("an annotation of a limit that cannot be meant is named", function()
  local result, complaints = policy.read { ["nodekiln.pids.max"] = "0", ["nodekiln.memory.max"] = "1.5G" }
  same({ result["nodekiln.pids.max"], result["nodekiln.memory.max"], #complaints }, { 4096, "auto", 2 })
end)
test("a bundle's processes do not inherit the protection of the node's own", function()
  local written = {}
  local write, mkdir = system.write, system.mkdir
  system.write, system.mkdir = function(_, text) table.insert(written, json.decode(text).process.oomScoreAdj) end, function() end
  for _, score in ipairs { false, -800 } do
    bundle.write_config({ config = { root = {}, process = { oomScoreAdj = score or nil } }, runtime = {}, root = "/x", name = "n" }, "/y")
  end
  system.write, system.mkdir = write, mkdir
  same(written, { 0, -800 })
end)
test("a container's cgroup is below /system, or the one that it names, counted from the root", function()
  local write, mkdir, paths = system.write, system.mkdir, {}
  system.write, system.mkdir = function(_, text) table.insert(paths, json.decode(text).linux.cgroupsPath) end, function() end
  for _, path in ipairs { false, "podruntime/kubelet", "/podruntime/kubelet" } do
    bundle.write_config({ config = { root = {}, process = {}, linux = { cgroupsPath = path or nil } }, runtime = {}, root = "/x", name = "n" }, "/y")
  end
  system.write, system.mkdir = write, mkdir
  same(paths, { "/system/n", "/podruntime/kubelet", "/podruntime/kubelet" })
end)

local ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
local function route(card, destination) return ("%s\t%s\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"):format(card, destination) end
local function route6(destination, card)
  return ("%s 40 %s 00 %s 00000100 00000001 00000000 00000001 %8s\n"):format(destination, ("0"):rep(32), ("0"):rep(32), card)
end
test("after network: a route that leads off the node, by either protocol", function()
  same(conditions.routed(ROUTES .. route("eth0", "00000000"), ""), true)
  same(conditions.routed(ROUTES .. route("eth0", "0002000A"), ""), true)
  same(conditions.routed(ROUTES .. route("lo", "0000007F") .. route("eth0", "0000FEA9"), ""), false)
  same(conditions.routed("", route6("20010db8000000000000000000000000", "eth0")), true)
  same(conditions.routed(ROUTES, route6("fe80000000000000" .. ("0"):rep(16), "eth0") .. route6("ff" .. ("0"):rep(30), "eth0")
    .. route6(("0"):rep(32), "lo")), false)
end)
test("after time, hostname: the kernel's own word, and a name that is one", function()
  same(conditions.synchronised("    return value: 0 (clock synchronized)"), true)
  same(conditions.synchronised("    return value: 5 (clock not synchronized)"), false)
  same(conditions.synchronised("adjtimex: not found"), false)
  for name, wanted in pairs { node = false, ["(none)"] = false, [""] = false, ["node-525400123456"] = true, web1 = true } do
    same(conditions.named(name), wanted)
  end
end)
test("after: a list of the words that there are", function()
  same(read { ["nodekiln.after"] = "network,time,hostname" }["nodekiln.after"], "network,time,hostname")
  for _, text in ipairs { "net", "network,", "network time", "" } do
    local result, complaints = policy.read { ["nodekiln.after"] = text }
    same({ result["nodekiln.after"], #complaints }, { "", 1 })
  end
end)

test("pods: every container but the one that only waits", function()
  local tasks = "TASK    PID     STATUS    \nabc     17      RUNNING\ndef     18      RUNNING\nghi     0       STOPPED\n"
  local containers, waiting = pods.processes(tasks, "def\n")
  same({ containers, waiting }, { { 17 }, { 18 } })
  same({ pods.processes("TASK PID STATUS\n", "") }, { {}, {} })
end)
test("pods: their grace is on the command line, within reason", function()
  for text, wanted in pairs { [""] = 30, ["nodekiln.pods.grace=5"] = 5, ["nodekiln.pods.grace=0"] = 0, ["nodekiln.pods.grace=-1"] = 30,
    ["nodekiln.pods.grace=9999"] = 30, ["nodekiln.pods.grace=soon"] = 30 } do
    same(pods.grace(system.kernel_options(text)), wanted)
  end
end)
test("what a container says does not steer the terminal", function()
  same(system.printable("a\tb\n é\u{a0}"), "a\tb\n é\u{a0}")
  same(system.printable("\27[2J\7\r\127\u{9b}\0"), "\\x1b[2J\\x07\\x0d\\x7f\\x9b\\x00")
end)
test("an annotation that cannot be meant is named and has its default", function()
  local result, complaints = policy.read { ["nodekiln.restart"] = "sometimes", ["nodekiln.restart.max"] = "-1", ["nodekiln.bogus"] = "1", other = "x" }
  same(result["nodekiln.restart"], "on-failure")
  same(result["nodekiln.restart.max"], 0)
  same(#complaints, 3)
end)

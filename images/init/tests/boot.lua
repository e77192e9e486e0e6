local json, policy, bundle, oneshot, system = require "json", require "policy", require "bundle", require "oneshot", require "system"

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
test("an annotation that cannot be meant is named and has its default", function()
  local result, complaints = policy.read { ["nodekiln.restart"] = "sometimes", ["nodekiln.restart.max"] = "-1", ["nodekiln.bogus"] = "1", other = "x" }
  same(result["nodekiln.restart"], "on-failure")
  same(result["nodekiln.restart.max"], 0)
  same(#complaints, 3)
end)

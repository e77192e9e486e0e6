-- What a service may wait for (nodekiln.after), each a question about the node as it is now.
local system = require "system"

local conditions = {}

-- Whether a route leads off the node: not by the loopback, and not to neighbours alone (link-local, multicast). The texts
-- are /proc/net/route (destinations in hexadecimal, of 32 bits in the machine's byte order) and /proc/net/ipv6_route.
function conditions.routed(route, ipv6_route)
  for line in route:gmatch("[^\n]+") do
    local card, destination = line:match("^(%S+)\t(%x+)\t")
    if card and card ~= "lo" and not destination:match("FEA9$") then return true end -- 169.254.0.0/16
  end
  for line in ipv6_route:gmatch("[^\n]+") do
    local destination, card = line:match("^(%x+) .-(%S+)%s*$")
    if destination and card ~= "lo" and not destination:match("^fe[89ab]") and not destination:match("^ff") then return true end
  end
  return false
end

-- Whether a time service keeps the clock, from the words of adjtimex(8): the kernel's own state (adjtimex(2), STA_UNSYNC).
function conditions.synchronised(text) return text:match("return value:%s*(%d+)") == "0" end

-- Whether a host name is one: not what a node has before it is told, and not that of nobody.
function conditions.named(name) return name ~= "" and name ~= "node" and name ~= "localhost" and name ~= "(none)" end

local QUESTIONS = {
  network = function() return conditions.routed(system.read("/proc/net/route") or "", system.read("/proc/net/ipv6_route") or "") end,
  time = function()
    local _, said = system.run { "busybox", "adjtimex" }
    return conditions.synchronised(said)
  end,
  hostname = function() return conditions.named((system.read("/proc/sys/kernel/hostname") or ""):match("%S*")) end,
}

-- Those of `list` (words with commas between) that do not hold.
function conditions.missing(list)
  local missing = {}
  for each in list:gmatch("[^,]+") do
    if not QUESTIONS[each]() then missing[#missing + 1] = each end
  end
  return missing
end

return conditions

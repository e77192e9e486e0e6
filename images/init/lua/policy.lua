-- The rules for services: when one is started again, when it counts as up, and what it may use. Nothing here touches the
-- system.
--
-- A service's annotations change them; KEYS has all of them with their defaults, README.md the same as a table.
local policy = {}

local STARTS = 3 -- starts in a row without a good run, after which a service counts as failed
local UNITS = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 } -- bytes
local KEPT_FREE = { divisor = 5, most = 1 << 30 } -- of the node's memory no service gets a fifth, 1 GiB at most

-- Annotations -----------------------------------------------------------------------------------------------------------

local function word(...)
  local words = {}
  for _, each in ipairs { ... } do words[each] = each end
  return function(text) return words[text] end
end

local function number(text)
  local value = tonumber(text)
  return value and value >= 0 and value < math.huge and value or nil
end

local function count(text)
  local value = math.tointeger(tonumber(text))
  return text == "max" and text or value and value > 0 and value or nil
end

-- Bytes that `text` stands for on a node whose services share `available` bytes: a size ("512M", "25%"), or "auto": all
-- but what is kept free. math.huge for "max", nil for a text that is none of these or comes to nothing.
function policy.memory(text, available)
  if text == "max" then return math.huge end
  if text == "auto" then return available - math.min(available // KEPT_FREE.divisor, KEPT_FREE.most) end
  local digits, unit = text:match("^(%d+)([KMGT%%]?)$")
  if not digits then return nil end
  local bytes = tonumber(digits) * (unit == "%" and available / 100 or UNITS[unit])
  return bytes >= 1 and math.tointeger(bytes // 1) or nil
end

-- `text` if it is a list of some of these words, with commas between.
local function list(...)
  local known = word(...)
  return function(text)
    for each in (text .. ","):gmatch("([^,]*),") do if not known(each) then return nil end end
    return text
  end
end

local function memory(text) return policy.memory(text, 1 << 40) and text end

local KEYS = { -- annotation = { default, parser: the value of a text, nil for one without }
  ["nodekiln.restart"] = { "on-failure", word("on-failure", "always", "no") },
  ["nodekiln.restart.max"] = { 0, number }, -- restarts in a row; 0: no limit
  ["nodekiln.restart.backoff"] = { 1, number }, -- seconds before the first restart, doubled each time
  ["nodekiln.restart.backoff.max"] = { 60, number }, -- seconds
  ["nodekiln.restart.reset"] = { 60, number }, -- seconds that make a run a good one: the count starts again
  ["nodekiln.settle"] = { 5, number }, -- seconds that a service must live to count as up
  ["nodekiln.stop.timeout"] = { 10, number }, -- seconds between SIGTERM and SIGKILL
  ["nodekiln.after"] = { "", list("network", "time", "hostname") }, -- what must hold before its first start
  ["nodekiln.after.timeout"] = { 120, number }, -- seconds, after which it is started all the same
  ["nodekiln.start"] = { "auto", word("auto", "manual") },
  ["nodekiln.log.size"] = { 1 << 20, number }, -- bytes of each log, and as much of the one before
  ["nodekiln.pids.max"] = { 4096, count }, -- processes and threads
  ["nodekiln.memory.max"] = { "auto", memory },
}

-- The policy of a service, and a line for each annotation that does not say what it could mean (its default holds).
function policy.read(annotations)
  local result, complaints = {}, {}
  for key, rule in pairs(KEYS) do
    local text, default = annotations[key], rule[1]
    local value = text ~= nil and rule[2](text) or nil
    result[key] = value or default
    if text ~= nil and not value then
      complaints[#complaints + 1] = ("%s: %q is not understood, so it is %s"):format(key, tostring(text), default == "" and "nothing" or default)
    end
  end
  for key in pairs(annotations) do
    if key:match("^nodekiln%.") and not KEYS[key] then complaints[#complaints + 1] = key .. ": unknown, ignored" end
  end
  table.sort(complaints)
  return result, complaints
end

-- Exits -----------------------------------------------------------------------------------------------------------------

-- After an exit: what next ("restart", "done" or "failed"), in how many seconds, and the restarts counted so far.
function policy.after_exit(self, code, ran, restarts)
  if self["nodekiln.restart"] == "no" or (self["nodekiln.restart"] == "on-failure" and code == 0) then
    return code == 0 and "done" or "failed", nil, restarts
  end
  if ran >= self["nodekiln.restart.reset"] then restarts = 0 end
  local most = self["nodekiln.restart.max"]
  if most > 0 and restarts >= most then return "failed", nil, restarts end
  local delay = math.min(self["nodekiln.restart.backoff"] * 2.0 ^ restarts, self["nodekiln.restart.backoff.max"])
  return "restart", delay, restarts + 1
end

-- The judgement of a service: "up", "failed", or "pending" until it is one of them; nil for one that nobody wants to run.
-- service: its state, its restarts, the seconds that it has `lived` in this state, and the `delay` until a restart.
-- One that has failed needs a good run to be up again, or a crash loop would be up for a moment after each start.
function policy.judge(self, service)
  if service.state == "done" then return "up" end
  if service.state == "failed" then return "failed" end
  if service.state == "stopped" then return nil end
  local settle, failing = self["nodekiln.settle"], service.restarts >= STARTS
  if service.state == "waiting" then return (failing or service.delay > settle) and "failed" or "pending" end
  if service.lived >= (failing and math.max(settle, self["nodekiln.restart.reset"]) or settle) then return "up" end
  return failing and "failed" or "pending"
end

-- Limits ----------------------------------------------------------------------------------------------------------------

-- Adds to `config` (config.json) the limits of processes and memory that it does not have itself. available: as in
-- policy.memory. controllers: a set of the kernel's cgroup controllers; a limit without its controller is left out,
-- because the runtime refuses it. Returns a line for each annotation that has no effect.
function policy.limit(self, config, available, controllers)
  config.linux = config.linux or {}
  local resources, complaints = config.linux.resources or {}, {}
  config.linux.resources = resources
  local function limit(kind, key, value)
    local own = resources[kind] or {}
    if own.limit ~= nil or own.swap ~= nil then
      if config.annotations and config.annotations[key] then
        complaints[#complaints + 1] = key .. ": ignored, the service's resources have a limit"
      end
    elseif value ~= math.huge and value ~= "max" and controllers[kind] then
      own.limit, resources[kind] = value, own
    end
  end
  limit("pids", "nodekiln.pids.max", self["nodekiln.pids.max"])
  limit("memory", "nodekiln.memory.max", policy.memory(self["nodekiln.memory.max"], available))
  return complaints
end

return policy

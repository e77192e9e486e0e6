-- When is a service started again, and how soon? Nothing here touches the system.
--
-- A service says it in its annotations (README.md has the table):
--   nodekiln.restart               on-failure (default) | always | no
--   nodekiln.restart.max           give up after so many restarts in a row (default 0: never)
--   nodekiln.restart.backoff       seconds before the first restart, doubled each time (default 1)
--   nodekiln.restart.backoff.max   and no more than this (default 60)
--   nodekiln.restart.reset         a run of so many seconds was a good one: count from 0 again (default 60)
--   nodekiln.stop.timeout          seconds between SIGTERM and SIGKILL (default 10)
--   nodekiln.start                 auto (default) | manual: only when somebody says `service start NAME`
--   nodekiln.log.size              bytes kept of each log, and as much of the one before (default 1048576)
local policy = {}

local WORDS = { ["nodekiln.restart"] = { ["on-failure"] = 1, always = 1, no = 1 }, ["nodekiln.start"] = { auto = 1, manual = 1 } }
local DEFAULTS = {
  ["nodekiln.restart"] = "on-failure",
  ["nodekiln.restart.max"] = 0,
  ["nodekiln.restart.backoff"] = 1,
  ["nodekiln.restart.backoff.max"] = 60,
  ["nodekiln.restart.reset"] = 60,
  ["nodekiln.stop.timeout"] = 10,
  ["nodekiln.start"] = "auto",
  ["nodekiln.log.size"] = 1 << 20,
}

-- The policy of a service, and a line for each annotation that does not say what it could mean (its default holds).
function policy.read(annotations)
  local result, complaints = {}, {}
  for key, default in pairs(DEFAULTS) do
    local value = annotations[key]
    if value ~= nil and WORDS[key] then
      result[key] = WORDS[key][value] and value
    elseif value ~= nil then
      local number = tonumber(value)
      result[key] = number and number >= 0 and number < math.huge and number or nil
    end
    if not result[key] then
      if value ~= nil then complaints[#complaints + 1] = ("%s: %q is not understood, so it is %s"):format(key, tostring(value), default) end
      result[key] = default
    end
  end
  for key in pairs(annotations) do
    if key:match("^nodekiln%.") and DEFAULTS[key] == nil then complaints[#complaints + 1] = key .. ": unknown, ignored" end
  end
  table.sort(complaints)
  return result, complaints
end

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

return policy

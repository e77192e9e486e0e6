-- The boot code's own tests: lua5.3 (or 5.4) images/init/tests/run.lua [FILE...]. What touches the system is not called,
-- so lua-posix is not needed: it is a stand-in here.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/../lua/?.lua;" .. here .. "/../../metadata/?.lua;" .. package.path

local nothing = setmetatable({}, { __index = function() return function() end end })
for _, name in ipairs { "unistd", "sys.wait", "sys.stat", "fcntl", "dirent", "time", "signal", "errno", "poll", "stdlib" } do
  package.preload["posix." .. name] = function() return nothing end
end

local failures, count = 0, 0
function test(name, body) -- luacheck: ignore
  count = count + 1
  local ok, why = xpcall(body, debug.traceback)
  if not ok then
    failures = failures + 1
    print("FAILED " .. name .. "\n  " .. why)
  end
end

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, item in pairs(value) do parts[#parts + 1] = show(key) .. "=" .. show(item) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end
function same(got, wanted) -- luacheck: ignore
  if show(got) ~= show(wanted) then error(("got %s, wanted %s"):format(show(got), show(wanted)), 2) end
end
function raises(pattern, call, ...) -- luacheck: ignore
  local ok, why = pcall(call, ...)
  if ok or not tostring(why):find(pattern) then error(("wanted an error like %q, got %s"):format(pattern, show(why)), 2) end
end

local files = #arg > 0 and arg or { here .. "/boot.lua", here .. "/../../metadata/tests/yaml.lua", here .. "/../../metadata/tests/metadata.lua" }
for _, file in ipairs(files) do dofile(file) end
print(("%d tests, %d failed"):format(count, failures))
os.exit(failures == 0 and 0 or 1)

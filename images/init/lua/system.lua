-- What Lua itself does not have: processes, directories, a clock, the console.
local unistd, wait, stat = require "posix.unistd", require "posix.sys.wait", require "posix.sys.stat"
local fcntl, dirent, time, signal = require "posix.fcntl", require "posix.dirent", require "posix.time", require "posix.signal"
local errno, poll = require "posix.errno", require "posix.poll"

local system = {}

-- Time ----------------------------------------------------------------------------------------------------------------

-- Seconds since the kernel started: what a boot log is measured in, and no clock can be set under it.
function system.uptime() return tonumber(system.read("/proc/uptime"):match("%S+")) end

function system.sleep(seconds)
  time.nanosleep { tv_sec = seconds // 1 | 0, tv_nsec = (seconds % 1 * 1e9) // 1 | 0 }
end

-- Files ---------------------------------------------------------------------------------------------------------------

function system.read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text = file:read("a")
  file:close()
  return text
end

-- Whole or not at all: a reader never sees half of it.
function system.write(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  assert(file:write(text))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

-- One write(2) into a file of the kernel, or an error with its reason.
function system.set(path, text)
  local fd, why = fcntl.open(path, fcntl.O_WRONLY)
  local written
  if fd then
    written, why = unistd.write(fd, text)
    unistd.close(fd)
  end
  if not written then error(("%s: cannot set %q: %s"):format(path, text, why), 0) end
end

function system.exists(path) return stat.stat(path) ~= nil end

function system.is_directory(path)
  local found = stat.stat(path)
  return found ~= nil and stat.S_ISDIR(found.st_mode) ~= 0
end

function system.mkdir(path)
  if path == "" or system.is_directory(path) then return end
  system.mkdir(path:match("^(.*)/[^/]*$") or "")
  local made, why = stat.mkdir(path, tonumber("755", 8))
  if not made and not system.is_directory(path) then error(("mkdir %s"):format(why), 0) end
end

-- The names in a directory, sorted; nothing where there is no directory.
function system.names(path)
  local names = {}
  if not system.is_directory(path) then return names end
  for name in dirent.files(path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The last lines of a text file, for a person who must see why something failed.
function system.tail(path, lines)
  local file = io.open(path, "rb")
  if not file then return {} end
  file:seek("set", math.max(0, file:seek("end") - 8192))
  local all = {}
  for line in file:lines() do all[#all + 1] = line end
  file:close()
  return table.move(all, math.max(1, #all - lines + 1), #all, 1, {})
end

-- Processes -----------------------------------------------------------------------------------------------------------

-- Start a process and return its id. `io` maps its file descriptors to ours; stdin is /dev/null unless given.
function system.start(argv, io_map)
  local pid = assert(unistd.fork())
  if pid > 0 then return pid end
  io_map = io_map or {}
  io_map[0] = io_map[0] or fcntl.open("/dev/null", fcntl.O_RDONLY)
  for theirs, ours in pairs(io_map) do if theirs ~= ours then unistd.dup2(ours, theirs) end end
  for fd = 3, 64 do if not io_map[fd] then unistd.close(fd) end end
  signal.signal(signal.SIGPIPE, signal.SIG_DFL)
  local _, why = unistd.execp(argv[1], table.move(argv, 2, #argv, 1, { [0] = argv[1] }))
  io.stderr:write(why, "\n")
  unistd._exit(127)
end

-- Wait for a process: its exit code as a shell tells it (128 + the signal that ended it), or nil after `seconds`.
function system.wait(pid, seconds)
  local deadline = seconds and system.uptime() + seconds
  while true do
    local who, how, code = wait.wait(pid, deadline and wait.WNOHANG or 0)
    if who == pid and how ~= "running" then return how == "exited" and code or 128 + code end
    if not who and code == errno.ECHILD then return 255 end -- not ours
    if deadline and system.uptime() > deadline then return nil end
    if deadline then system.sleep(0.02) end
  end
end

-- Collect children that have ended and that nobody waits for.
function system.reap()
  repeat local who = wait.wait(-1, wait.WNOHANG) until not who or who == 0
end

-- Run a program to its end: exit code and what it said (both streams, the first 64 KiB). It is killed after `seconds`.
function system.run(argv, seconds)
  local from, to = unistd.pipe()
  local pid = system.start(argv, { [1] = to, [2] = to })
  unistd.close(to)
  local said, size, ended = {}, 0, nil
  local deadline = system.uptime() + (seconds or 60)
  while true do
    if poll.rpoll(from, ended and 0 or 20) == 1 then
      local chunk = unistd.read(from, 4096)
      if not chunk or chunk == "" then break end
      if size < 65536 then said[#said + 1], size = chunk, size + #chunk end
    elseif ended then
      break -- and somebody whom it left behind holds the pipe
    else
      ended = system.wait(pid, 0)
      if not ended and system.uptime() > deadline then signal.kill(pid, signal.SIGKILL) end
    end
  end
  unistd.close(from)
  return ended or system.wait(pid), table.concat(said):match("^.*%S") or "" -- "%s+$" would take quadratic time
end

-- Run a program that must succeed.
function system.must(...)
  local argv = { ... }
  local code, said = system.run(argv)
  if code ~= 0 then error(("%s: exit code %d%s"):format(table.concat(argv, " "), code, said ~= "" and ": " .. said or ""), 0) end
  return said
end

-- When a process was started (in clock ticks): together with its id it names a process for good. nil when it is gone.
function system.birth(pid)
  local line = pid and system.read(("/proc/%d/stat"):format(pid))
  local state, rest = (line or ""):match("^.*%) (%a) (.*)$")
  if not state or state == "Z" or state == "X" then return nil end
  local at = 3
  for word in rest:gmatch("%S+") do
    at = at + 1
    if at == 22 then return word end
  end
end

-- Memory ----------------------------------------------------------------------------------------------------------------

-- Bytes that could be used without swapping.
function system.available_memory() return tonumber(system.read("/proc/meminfo"):match("MemAvailable:%s*(%d+) kB")) << 10 end

-- Makes this process, and what it starts, the last that the kernel's OOM killer takes. containerd gives its shims one more.
function system.protect() system.set("/proc/self/oom_score_adj", "-999") end

-- The console -----------------------------------------------------------------------------------------------------------

-- `text` with control characters (C1 in UTF-8 too) as \xNN: what a container says must not steer the terminal.
function system.printable(text)
  text = text:gsub("[\0-\8\11-\31\127]", function(letter) return ("\\x%02x"):format(letter:byte()) end)
  return (text:gsub("\xc2([\x80-\x9f])", function(letter) return ("\\x%02x"):format(letter:byte()) end))
end

function system.say(...)
  io.stdout:write(system.printable(string.format(...)), "\n")
  io.stdout:flush()
end

-- The kernel's command line as a table: `a=b` is options.a == "b", a word alone is options.word == "".
function system.kernel_options(text)
  local options = {}
  for word in (text or system.read("/proc/cmdline") or ""):gmatch("%S+") do
    local key, value = word:match("^([^=]+)=?(.*)$")
    if key then options[key] = value end
  end
  return options
end

return system

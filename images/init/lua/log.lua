-- Keeps what a program says: one file for its stdout, one for its stderr. Each is at most `limit` bytes, and so is the
-- one older file beside it (NAME.log.1), so a talkative program cannot fill the node's memory.
local unistd, fcntl, poll = require "posix.unistd", require "posix.fcntl", require "posix.poll"
local signal, stat = require "posix.signal", require "posix.sys.stat"

local log = { LIMIT = 1 << 20 }

local function writer(path, limit)
  local fd, size
  local function open()
    fd = assert(fcntl.open(path, fcntl.O_WRONLY | fcntl.O_CREAT | fcntl.O_APPEND, tonumber("640", 8)))
    size = stat.stat(path).st_size
  end
  open()
  return function(chunk)
    if size > 0 and size + #chunk > limit then
      unistd.close(fd)
      os.rename(path, path .. ".1")
      open()
    end
    unistd.write(fd, chunk)
    size = size + #chunk
  end
end

-- Copy until both ends are closed: sources is { [fd] = path }.
function log.copy(sources, limit)
  limit = tonumber(limit) or log.LIMIT
  local fds, open, keep = {}, 0, {}
  for fd, path in pairs(sources) do
    fds[fd], keep[fd], open = { events = { IN = true } }, writer(path, limit), open + 1
  end
  while open > 0 do
    poll.poll(fds, -1)
    for fd, state in pairs(fds) do
      if state.revents and (state.revents.IN or state.revents.HUP or state.revents.ERR) then
        local chunk = unistd.read(fd, math.min(65536, limit))
        if chunk and chunk ~= "" then
          keep[fd](chunk)
        else
          fds[fd], open = nil, open - 1
          unistd.close(fd)
        end
      end
    end
  end
end

function log.paths(directory, name) return directory .. "/" .. name .. ".out.log", directory .. "/" .. name .. ".log" end

-- Fork a copier: the two descriptors that a program should write to, and the copier's process id.
function log.start(directory, name)
  local out, err = log.paths(directory, name)
  local out_from, out_to = unistd.pipe()
  local err_from, err_to = unistd.pipe()
  local pid = assert(unistd.fork())
  if pid == 0 then
    unistd.setpid("s") -- a ^C on the console, or init's last words, must not cut the log off
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for fd = 0, 64 do if fd ~= out_from and fd ~= err_from then unistd.close(fd) end end
    pcall(log.copy, { [out_from] = out, [err_from] = err })
    unistd._exit(0)
  end
  unistd.close(out_from)
  unistd.close(err_from)
  return out_to, err_to, pid
end

return log

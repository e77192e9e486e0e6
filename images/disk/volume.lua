-- What is done to a disk, a partition or a file system before it is mounted. Devices may be files: the tests' are.
local stat, unistd = require "posix.sys.stat", require "posix.unistd"
local json, system = require "json", require "system"

local volume = {}

local MIB = 1 << 20
local ROOM = MIB -- bytes behind a partition or a file system from which on it is grown
local ENDS, SAMPLE, SAMPLES = 4 * MIB, 64 << 10, 1024 -- bytes at either end, and of so many places between, that must be zero
local CHUNK = MIB -- bytes that are read at once
local LONGEST_LABEL = 16 -- bytes of an ext4's label; that of its partition may be longer
local PATIENCE = 3600 -- seconds that making, repairing or growing a file system may take

-- Bytes of a device or file.
local function bytes_of(path)
  local file = assert(io.open(path, "rb"))
  local size = file:seek("end")
  file:close()
  return size
end

-- Finding ---------------------------------------------------------------------------------------------------------------

-- The devices that `name` means: itself if it is a path, else those whose file system or partition has this label.
function volume.devices(name)
  if name:sub(1, 1) == "/" then return system.exists(name) and { name } or {} end
  local found, devices = {}, {}
  for _, key in ipairs { "LABEL", "PARTLABEL" } do
    local code, said = system.run { "blkid", "-c", "/dev/null", "-o", "device", "-t", key .. "=" .. name }
    for device in (code == 0 and said or ""):gmatch("[^\n]+") do
      if not found[device] then devices[#devices + 1] = device end
      found[device] = true
    end
  end
  return devices
end

-- Disk and number of the partition that `device` is; nil for a whole disk.
function volume.partition(device)
  local entry = "/sys/class/block/" .. device:match("[^/]+$")
  local number = tonumber(system.read(entry .. "/partition") or "")
  if not number then return nil end
  return "/dev/" .. unistd.readlink(entry):match("([^/]+)/[^/]+$"), number
end

-- Growing a partition ---------------------------------------------------------------------------------------------------

-- Bytes behind partition `number`, which it could have; 0 if it is not the last one, or is inside an extended one.
-- table: that of sfdisk --json. size: bytes of the disk. Sources: UEFI specification, 5.3 (a copy of the GPT is at the
-- disk's end); a boot record counts 32 bits of sectors.
function volume.room(partitions, number, size)
  local sector, own = partitions.sectorsize or 512, nil
  local last = size // sector
  if partitions.label == "gpt" then
    last = last - 1 - (128 * 128 + sector - 1) // sector
  else
    last = math.min(last, (1 << 32) - 1)
  end
  local furthest = 0
  for _, each in ipairs(partitions.partitions or {}) do
    if tonumber(each.node:match("%d+$")) == number then own = each end
    furthest = math.max(furthest, each.start + each.size)
  end
  if not own or own.start + own.size < furthest or (partitions.label == "dos" and number > 4) then return 0 end
  return math.max(0, (last - furthest) * sector)
end

-- Lets partition `number` of `disk` reach to the end, if it is the last one. True if it has grown.
function volume.grow_partition(disk, number)
  local code, said = system.run { "sfdisk", "--json", disk }
  if code ~= 0 then error(("sfdisk: %s"):format(said:match("[^\n]*$")), 0) end
  local partitions = json.decode(said:match("{.*}")).partitiontable -- around it there may be warnings
  if volume.room(partitions, number, bytes_of(disk)) < ROOM then return false end
  -- The table is written while other partitions of the disk are in use, and the kernel is told of this one alone.
  system.must("sh", "-c", 'echo ", +" | sfdisk --quiet --no-reread --no-tell-kernel -N "$1" "$2"', "sh", tostring(number), disk)
  return true
end

-- What is in it ---------------------------------------------------------------------------------------------------------

local function zero(file, offset, length)
  file:seek("set", offset)
  while length > 0 do
    local data = file:read(math.min(length, CHUNK))
    if not data or data:find("[^\0]") then return false end
    length = length - #data
  end
  return true
end

-- Whether there is nothing but zeros: at both ends, where every file system, volume manager and partition table has
-- something, and at places between.
function volume.is_empty(device)
  local size, file = bytes_of(device), assert(io.open(device, "rb"))
  file:setvbuf("no")
  local empty = size > 0 and zero(file, 0, math.min(ENDS, size)) and zero(file, math.max(0, size - ENDS), math.min(ENDS, size))
  for index = 1, empty and SAMPLES or 0 do
    local offset = size // (SAMPLES + 1) * index // SAMPLE * SAMPLE
    empty = empty and zero(file, offset, math.min(SAMPLE, size - offset))
  end
  file:close()
  return empty
end

-- "ext4" (ext2, ext3), "empty", or an error that says what else is there: that is never written over.
function volume.content(device)
  local code, kind = system.run { "blkid", "-p", "-s", "TYPE", "-o", "value", device }
  if code == 0 and kind:match("^ext[234]$") then return "ext4" end
  if code == 0 and kind ~= "" then error(("%s has %s, and ext4 is expected: it is left as it is"):format(device, kind), 0) end
  if volume.is_empty(device) then return "empty" end
  error(("%s has data, and no ext4: it is left as it is"):format(device), 0)
end

-- Bytes that a file system has. Source: the superblock's s_blocks_count, s_log_block_size, s_feature_incompat (64bit).
function volume.filesystem_bytes(device)
  local file = assert(io.open(device, "rb"))
  file:seek("set", 1024)
  local superblock = file:read(1024)
  file:close()
  local count, shift, features = ("<I4"):unpack(superblock, 5), ("<I4"):unpack(superblock, 25), ("<I4"):unpack(superblock, 97)
  if features & 0x80 ~= 0 then count = count | ("<I4"):unpack(superblock, 0x151) << 32 end
  return count << (10 + shift)
end

-- File systems ----------------------------------------------------------------------------------------------------------

-- Makes an ext4. label: that it gets, so that it is found again.
function volume.make(device, label)
  label = label:sub(1, 1) == "/" and "" or label:sub(1, LONGEST_LABEL)
  local code, said = system.run({ "mke2fs", "-q", "-F", "-t", "ext4", "-L", label, device }, PATIENCE)
  if code ~= 0 then error(("%s: no file system could be made: %s"):format(device, said:match("[^\n]*$")), 0) end
end

-- Repairs what can be repaired without loss (after a power cut: the journal). True if something was.
function volume.check(device)
  local code, said = system.run({ "e2fsck", "-p", device }, PATIENCE)
  if code > 3 then
    local cause = said:match("([^\n]+)\n%s*[^\n]*UNEXPECTED") or said:match("[^\n]*")
    error(("%s: the file system must be repaired by hand (e2fsck): %s"):format(device, cause), 0)
  end
  return code > 0
end

-- Lets the file system have all of its device. True if it has grown.
function volume.grow_filesystem(device)
  local before = volume.filesystem_bytes(device)
  if bytes_of(device) - before < ROOM then return false end
  local code, said = system.run({ "resize2fs", device }, PATIENCE)
  if code ~= 0 then system.say("%s: the file system does not grow: %s", device, said:match("[^\n]*$")) end
  return volume.filesystem_bytes(device) > before
end

-- Makes `device` one that can be mounted. name: how the spec calls it. Returns what was done, in words.
function volume.prepare(device, name)
  local content, steps = volume.content(device), {}
  local disk, number = volume.partition(device)
  if disk then
    local ok, grown = pcall(volume.grow_partition, disk, number)
    if ok and grown then
      system.must("partx", "--update", "--nr", tostring(number), disk)
      steps[#steps + 1] = "partition grown"
    elseif not ok then
      system.say("%s: the partition does not grow: %s", device, grown)
    end
  end
  if content == "empty" then
    volume.make(device, name)
    steps[#steps + 1] = "file system made"
  elseif volume.check(device) then
    steps[#steps + 1] = "repaired"
  end
  return steps
end

-- Folders and links -----------------------------------------------------------------------------------------------------

-- The folders and links below `place`, from the top: what has to be there when something is mounted over it.
function volume.folders(place, found, below)
  found, below = found or {}, below or ""
  for _, name in ipairs(system.names(place .. below)) do
    local path = below .. "/" .. name
    local entry = stat.lstat(place .. path)
    if entry and stat.S_ISLNK(entry.st_mode) ~= 0 then
      found[#found + 1] = { path = path, target = unistd.readlink(place .. path) }
    elseif entry and stat.S_ISDIR(entry.st_mode) ~= 0 then
      found[#found + 1] = { path = path, mode = entry.st_mode & tonumber("7777", 8) }
      volume.folders(place, found, path)
    end
  end
  return found
end

-- Makes those of `folders` that `place` lacks.
function volume.make_folders(place, folders)
  for _, each in ipairs(folders) do
    local path = place .. each.path
    if not stat.lstat(path) then
      if each.target then
        unistd.link(each.target, path, true)
      else
        system.mkdir(path)
        stat.chmod(path, each.mode)
      end
    end
  end
end

return volume

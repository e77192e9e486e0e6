-- What the metadata said is not to be trusted: here it is checked, and turned into a list of files. Nothing here touches
-- the system.
local json = require "json"

local userdata = {
  LARGEST = 1 << 20, -- bytes of all files together
  MOST_FILES = 1000,
  DEEPEST = 16, -- directories in directories
  LONGEST_KEY = 16384, -- bytes of a line of keys: an RSA key of 16384 bits has 2800
  LONGEST_ID = 255,
  MODE = tonumber("755", 8), -- the most that a file's or directory's mode may have: nobody but root writes into /run/config
}

local KEY_TYPES = { "ssh%-%w+", "ecdsa%-sha2%-nistp%d+", "sk%-ssh%-ed25519@openssh%.com", "sk%-ecdsa%-sha2%-nistp256@openssh%.com" }

-- A host name, or nil: letters, digits, hyphens and dots, as long as the kernel takes it (else its first label).
function userdata.hostname(unsafe)
  if type(unsafe) ~= "string" then return nil end
  local name = #unsafe > 64 and unsafe:match("^[^.]*") or unsafe
  if #name > 64 or not name:match("^%w[%w.-]*$") or name:find("..", 1, true) then return nil end
  return name
end

-- An instance's id, or nil.
function userdata.instance(unsafe)
  return type(unsafe) == "string" and #unsafe <= userdata.LONGEST_ID and unsafe:match("^[%w_.-]+$") or nil
end

local function is_key(line)
  if #line > userdata.LONGEST_KEY then return false end
  for _, kind in ipairs(KEY_TYPES) do
    if line:match("^" .. kind .. " [%w+/=]+$") or line:match("^" .. kind .. " [%w+/=]+ [^%c]*$") then return true end
  end
  return false
end

-- Public keys, one a line, and the number of lines refused: those that start with anything but a key's type (options such
-- as command=). Blank lines and comments are neither.
function userdata.keys(unsafe_keys)
  local keys, refused = {}, 0
  for _, unsafe in ipairs(unsafe_keys) do
    for line in (type(unsafe) == "string" and unsafe or ""):gmatch("[^\r\n]+") do
      line = (line:match("^.*%S") or ""):match("%S.*") or "" -- "%s+$" would take quadratic time
      if is_key(line) then keys[#keys + 1] = line elseif line ~= "" and line:sub(1, 1) ~= "#" then refused = refused + 1 end
    end
  end
  return keys, refused
end

-- What user data may write into files that others take for the metadata's: the same that metadata itself may.
local function no_keys_refused(content)
  local _, refused = userdata.keys { content }
  return refused == 0 or ("%d lines are not public keys"):format(refused)
end
local function written_by_metadata() return "written by metadata itself" end
local CHECKS = {
  hostname = function(content) return userdata.hostname((content:gsub("\n$", ""))) ~= nil or "not a host name" end,
  instance_id = function(content) return userdata.instance((content:gsub("\n$", ""))) ~= nil or "not an instance's id" end,
  provider = written_by_metadata,
  userdata = written_by_metadata,
}
local function check_content(place, name, content)
  local check = name:lower():find("^authorized_keys") and no_keys_refused or CHECKS[place]
  local right = not check or check(content)
  if right ~= true then error(place .. ": " .. right, 0) end
end

local function mode(place, unsafe, default)
  if unsafe == nil then return default end
  if type(unsafe) ~= "string" or not unsafe:match("^0?[0-7][0-7][0-7]$") then error(place .. ": perm is not a text like \"0644\"", 0) end
  local bits = tonumber(unsafe, 8)
  if bits & ~userdata.MODE ~= 0 then error(("%s: perm %s has more than %04o"):format(place, unsafe, userdata.MODE), 0) end
  return bits
end

local function is_object(value) return type(value) == "table" and not getmetatable(value) end

-- Content, entries and perm of a file or directory; null is nothing.
local function said(entry) return json.given(entry.content), json.given(entry.entries), json.given(entry.perm) end

-- LinuxKit's user data: {NAME: {"perm": "0644", "content": "…"}} is a file, {NAME: {"perm": …, "entries": {…}}} a directory.
-- Returns { {path=, mode=, content=|nil}, … } with directories before what is in them; raises what is wrong.
function userdata.plan(document)
  local plan, size = {}, 0
  local function walk(entries, path, depth)
    if not is_object(entries) then error(("%s: expected an object"):format(path == "" and "user data" or path), 0) end
    if depth > userdata.DEEPEST then error(path .. ": too deep", 0) end
    local names = {}
    for name, entry in pairs(entries) do if json.given(entry) ~= nil then names[#names + 1] = name end end
    table.sort(names)
    for _, name in ipairs(names) do
      local entry, place = entries[name], path .. name
      if name == "" or name == "." or name == ".." or #name > 255 or name:find("[/%c]") then error(("%q: not a file name"):format(place), 0) end
      if not is_object(entry) then error(place .. ": expected an object", 0) end
      local content, inner, perm = said(entry)
      if (content == nil) == (inner == nil) then error(place .. ": expected either content or entries", 0) end
      local bits = mode(place, perm, inner and tonumber("755", 8) or tonumber("644", 8))
      if #plan >= userdata.MOST_FILES then error("more than " .. userdata.MOST_FILES .. " files", 0) end
      plan[#plan + 1] = { path = place, mode = bits, content = content }
      if inner then
        if CHECKS[place] then error(place .. ": must be a file", 0) end
        walk(inner, place .. "/", depth + 1)
      elseif type(content) ~= "string" then
        error(place .. ": content must be a string", 0)
      else
        size = size + #content
        if size > userdata.LARGEST then error("larger than 1 MiB", 0) end
        check_content(place, name, content)
      end
    end
  end
  walk(document, "", 1)
  return plan
end

return userdata

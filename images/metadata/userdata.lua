-- What the metadata said is not to be trusted: here it is checked, and turned into a list of files. Nothing here touches
-- the system.
local userdata = { LARGEST = 1 << 20, MOST_FILES = 1000, DEEPEST = 16 }

local KEY_TYPES = { "ssh%-%w+", "ecdsa%-sha2%-nistp%d+", "sk%-ssh%-ed25519@openssh%.com", "sk%-ecdsa%-sha2%-nistp256@openssh%.com" }

-- A host name, or nil: letters, digits, hyphens and dots, as long as the kernel takes it (else its first label).
function userdata.hostname(unsafe)
  if type(unsafe) ~= "string" then return nil end
  local name = #unsafe > 64 and unsafe:match("^[^.]*") or unsafe
  if #name > 64 or not name:match("^%w[%w.-]*$") or name:find("..", 1, true) then return nil end
  return name
end

-- Public keys, one a line. A line that starts with anything but a key's type (options such as command=) is left out.
function userdata.keys(unsafe_keys)
  local keys, refused = {}, 0
  for _, unsafe in ipairs(unsafe_keys) do
    for line in (type(unsafe) == "string" and unsafe or ""):gmatch("[^\r\n]+") do
      line = line:gsub("^%s+", ""):gsub("%s+$", "")
      local good = false
      for _, kind in ipairs(KEY_TYPES) do good = good or line:match("^" .. kind .. " [%w+/=]+$") or line:match("^" .. kind .. " [%w+/=]+ [^%c]*$") end
      if good then keys[#keys + 1] = line elseif line ~= "" and line:sub(1, 1) ~= "#" then refused = refused + 1 end
    end
  end
  return keys, refused
end

local function mode(unsafe, default)
  if unsafe == nil then return default end
  local text = tostring(unsafe)
  if not text:match("^0?[0-7][0-7][0-7]$") then return nil end
  return tonumber(text, 8)
end

-- LinuxKit's user data: {NAME: {"perm": "0644", "content": "…"}} is a file, {NAME: {"perm": …, "entries": {…}}} a directory.
-- Returns { {path=, mode=, content=|nil}, … } with directories before what is in them; raises what is wrong.
function userdata.plan(document)
  local plan, size = {}, 0
  local function walk(entries, path, depth)
    if type(entries) ~= "table" or getmetatable(entries) then error(("%s: expected an object"):format(path == "" and "user data" or path), 0) end
    if depth > userdata.DEEPEST then error(path .. ": too deep", 0) end
    local names = {}
    for name in pairs(entries) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local entry, place = entries[name], path .. name
      if name == "" or name == "." or name == ".." or #name > 255 or name:find("[/%c]") then error(("%q: not a file name"):format(place), 0) end
      if type(entry) ~= "table" or getmetatable(entry) then error(place .. ": expected an object", 0) end
      if (entry.content == nil) == (entry.entries == nil) then error(place .. ": expected either content or entries", 0) end
      local bits = mode(entry.perm, entry.entries and tonumber("755", 8) or tonumber("644", 8))
      if not bits then error(("%s: perm %q is not like 0644"):format(place, tostring(entry.perm)), 0) end
      if #plan >= userdata.MOST_FILES then error("more than " .. userdata.MOST_FILES .. " files", 0) end
      plan[#plan + 1] = { path = place, mode = bits, content = entry.content }
      if entry.entries then
        walk(entry.entries, place .. "/", depth + 1)
      elseif type(entry.content) ~= "string" then
        error(place .. ": content must be a string", 0)
      else
        size = size + #entry.content
        if size > userdata.LARGEST then error("larger than 1 MiB", 0) end
      end
    end
  end
  walk(document, "", 1)
  return plan
end

return userdata

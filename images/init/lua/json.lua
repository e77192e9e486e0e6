-- JSON, both ways, as strict as boot code needs it. An object is a table; an array is a table with the `array`
-- metatable (so that [] stays []); null is `json.null`. A number that a Lua integer cannot hold (RLIM_INFINITY) stays
-- the text that it was. A key that comes twice in an object is an error, since readers differ on which one counts.
local json = { null = setmetatable({}, { __name = "null" }), array = { __name = "array" }, number = { __name = "number" } }

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local DEEPEST = 64 -- a hostile document must not exhaust the stack

function json.list(items) return setmetatable(items, json.array) end

-- The value, or nil for null: for documents in which null means "nothing there".
function json.given(value) if value ~= json.null then return value end end

function json.decode(text)
  local at, value = 1, nil

  local function fail(what)
    local _, line = text:sub(1, at - 1):gsub("\n", "")
    error(("JSON: %s at line %d"):format(what, line + 1), 0)
  end
  local function skip() at = text:find("[^ \t\r\n]", at) or #text + 1 end
  local function take(mark)
    skip()
    if text:sub(at, at + #mark - 1) ~= mark then return false end
    at = at + #mark
    return true
  end

  local function unicode()
    local hex = text:match("^%x%x%x%x", at) or fail("bad \\u escape")
    at = at + 4
    return tonumber(hex, 16)
  end
  local function text_value()
    local parts = {}
    while true do
      local plain, stop = text:match('^([^"\\%c]*)(["\\])', at)
      if not plain then fail("unfinished string") end
      parts[#parts + 1], at = plain, at + #plain + 1
      if stop == '"' then return table.concat(parts) end
      local letter = text:sub(at, at)
      at = at + 1
      if letter == "u" then
        local code = unicode()
        if code >= 0xD800 and code < 0xDC00 and text:sub(at, at + 1) == "\\u" then
          at = at + 2
          local low = unicode()
          if low < 0xDC00 or low > 0xDFFF then fail("bad \\u escape") end
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        end
        parts[#parts + 1] = utf8.char(code)
      else
        parts[#parts + 1] = ESCAPES[letter] or fail("bad escape")
      end
    end
  end

  local function members(close, depth, member)
    if take(close) then return end
    repeat member(depth + 1) until not take(",")
    if not take(close) then fail("expected ',' or '" .. close .. "'") end
  end

  function value(depth)
    if depth > DEEPEST then fail("too deep") end
    if take("{") then
      local object, seen = {}, {}
      members("}", depth, function(inside)
        if not take('"') then fail("expected a key") end
        local key = text_value()
        if seen[key] then fail(("the key %q comes twice"):format(key)) end
        if not take(":") then fail("expected ':'") end
        seen[key] = true
        object[key] = value(inside)
      end)
      return object
    elseif take("[") then
      local list = json.list {}
      members("]", depth, function(inside) list[#list + 1] = value(inside) end)
      return list
    elseif take('"') then return text_value()
    elseif take("true") then return true
    elseif take("false") then return false
    elseif take("null") then return json.null end
    local digits = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at) or fail("expected a value")
    at = at + #digits
    return digits:match("^-?%d+$") and math.tointeger(tonumber(digits)) or setmetatable({ digits }, json.number)
  end

  local result = value(0)
  skip()
  if at <= #text then fail("something after the value") end
  return result
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(letter) return ("\\u%04x"):format(letter:byte()) end) .. '"'
end

function json.encode(value)
  local kind, parts = getmetatable(value), {}
  if value == json.null then return "null"
  elseif type(value) == "string" then return quote(value)
  elseif type(value) ~= "table" then return tostring(value)
  elseif kind == json.number then return value[1]
  elseif kind == json.array then
    for index, item in ipairs(value) do parts[index] = json.encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = quote(key) .. ":" .. json.encode(item) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

return json

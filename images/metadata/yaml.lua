-- YAML 1.2, the part of it that NoCloud's meta-data is written in (and so all of JSON): block and flow mappings and lists,
-- plain, quoted, literal and folded texts, comments. Anything else (anchors, tags, merge keys, "? " keys, a second
-- document) is an error that names the line. Every scalar is a text, as it stands there ("no" and 012 are not converted);
-- null, in any of its spellings, is left out. Keys stand once. Lists are as in json.lua.
local json = require "json"

local yaml = { DEEPEST = 64 } -- levels of nesting: a hostile document must not exhaust the stack

local NULLS = { [""] = true, ["~"] = true, null = true, Null = true, NULL = true }
local ESCAPES = { ["0"] = "\0", a = "\a", b = "\b", t = "\t", ["\t"] = "\t", n = "\n", v = "\v", f = "\f", r = "\r", e = "\27", [" "] = " ",
  ['"'] = '"', ["/"] = "/", ["\\"] = "\\", N = "\u{85}", _ = "\u{A0}", L = "\u{2028}", P = "\u{2029}" }
local HEX_DIGITS = { x = 2, u = 4, U = 8 }
local NOT_UNDERSTOOD = { ["&"] = "an anchor (&)", ["*"] = "an alias (*)", ["!"] = "a tag (!)", ["%"] = "a directive (%)" }

-- The text up to its last character that is neither space nor tab (a pattern with "$" would take quadratic time).
local function trimmed(text) return text:match("^.*[^ \t]") or "" end

function yaml.decode(source)
  local text = source:gsub("^\239\187\191", ""):gsub("\r\n?", "\n")
  local unended = text:sub(-1) ~= "\n"
  if unended then text = text .. "\n" end
  local at, start = 1, 1 -- where we read; where its line starts
  local indent, gaps, commented = 0, 0, false -- of the line reached: its indentation; blank lines and comments before it
  local begun, ended = false, false -- whether the document has, by content or by its marks
  local node

  local function fail(what)
    local _, line = text:sub(1, at - 1):gsub("\n", "")
    error(("YAML: %s at line %d"):format(what, line + 1), 0)
  end
  local function character() return text:sub(at, at) end
  local function resolved(plain) if not NULLS[plain] then return plain end end

  -- Lines -----------------------------------------------------------------------------------------------------------

  -- From the start of a line to the first character of the next line that has content; `indent` is -1 at the end.
  local function next_content()
    gaps, commented = 0, false
    while at <= #text do
      local blanks, mark = text:match("^([ \t]*)(.)", at)
      if mark == "\n" or mark == "#" then
        if mark == "#" then commented = true else gaps = gaps + 1 end
        at = text:find("\n", at, true) + 1
      elseif text:find("^%.%.%.%s", at) then
        ended, at = true, at + 3
      elseif text:find("^%-%-%-%s", at) and not begun then
        begun, at = true, at + 3
      else
        if ended or text:find("^%-%-%-%s", at) then fail("a second document") end
        if blanks:find("\t", 1, true) then fail("a tab in the indentation") end
        begun, start, at, indent = true, at, at + #blanks, #blanks
        return
      end
    end
    indent = -1
  end

  -- The rest of a line after a value: blanks, perhaps a comment.
  local function finish_line()
    local blanks = text:match("^[ \t]*", at)
    at = at + #blanks
    local comment = character() == "#" and (blanks ~= "" or at == start)
    if comment then at = text:find("\n", at, true) end
    if character() ~= "\n" then fail("something after the value") end
    at = at + 1
    next_content()
    commented = commented or comment
  end

  -- Scalars ---------------------------------------------------------------------------------------------------------

  -- What a line break inside a text comes to; the blanks after it are skipped.
  local function folded()
    local breaks = 0
    while true do
      local blanks, feed = text:match("^([ \t]*)(\n?)", at)
      at = at + #blanks + #feed
      if feed == "" then return breaks == 0 and " " or ("\n"):rep(breaks) end
      breaks = breaks + 1
    end
  end

  local function code_point(digits)
    local hex = text:match("^" .. ("%x"):rep(digits), at) or fail("bad escape")
    at = at + digits
    return tonumber(hex, 16)
  end

  local function escape()
    local letter = character()
    at = at + 1
    if letter == "\n" then return (folded():gsub("^ $", "")) end
    if not HEX_DIGITS[letter] then return ESCAPES[letter] or fail("bad escape") end
    local code = code_point(HEX_DIGITS[letter])
    if code >= 0xD800 and code < 0xDC00 and text:find("^\\u[dD][c-fC-F]", at) then -- JSON's pair for one character
      at = at + 2
      code = 0x10000 + ((code - 0xD800) << 10) + (code_point(4) - 0xDC00)
    end
    if code > 0x10FFFF or code >= 0xD800 and code < 0xE000 then fail("bad escape") end
    return utf8.char(code)
  end

  local function quoted()
    local mark, parts, from = character(), {}, at
    local pattern = mark == '"' and '^([^"\\\n]*)(["\\\n])' or "^([^'\n]*)(['\n])"
    at = at + 1
    while true do
      local plain, stop = text:match(pattern, at)
      if not plain then
        at = from
        fail("unfinished text")
      end
      at = at + #plain + 1
      parts[#parts + 1] = stop == "\n" and trimmed(plain) or plain
      if stop == "\n" then parts[#parts + 1] = folded()
      elseif stop == "\\" then parts[#parts + 1] = escape()
      elseif mark == "'" and character() == "'" then parts[#parts + 1], at = "'", at + 1
      else return table.concat(parts) end
    end
  end

  local function check_plain()
    local first = character()
    if first == "" then fail("unfinished") end
    if NOT_UNDERSTOOD[first] then fail(NOT_UNDERSTOOD[first] .. " is not understood") end
    if first:find("[,%]}@`|>\"'#]") or text:find("^[?:%-][ \t\n]", at) then fail(("%q cannot start a value"):format(first)) end
  end

  -- A plain text, with the lines that continue it: those that are indented deeper than `parent`.
  local function plain(parent)
    local parts = {}
    check_plain()
    repeat
      local line = text:match("^[^\n]*", at)
      line = trimmed(line:sub(1, (line:find("[ \t]#") or 0) - 1))
      if line:find(":[ \t]") or line:sub(-1) == ":" then fail("a ': ' inside a value (quote the value)") end
      parts[#parts + 1], at = line, at + #line
      finish_line()
      parts[#parts + 1] = gaps == 0 and " " or ("\n"):rep(gaps)
    until commented or indent <= parent
    return resolved(table.concat(parts, "", 1, #parts - 1))
  end

  -- Lines of a folded text (`>`) put together.
  local function joined(lines)
    local parts, breaks, deeper = {}, 0, false
    for index, line in ipairs(lines) do
      local indented = line:find("^[ \t]") ~= nil
      if line == "" then
        breaks = breaks + 1
      else
        local keep = deeper or indented
        if index > breaks + 1 then parts[#parts + 1] = (keep or breaks > 0) and ("\n"):rep(breaks + (keep and 1 or 0)) or " "
        else parts[#parts + 1] = ("\n"):rep(breaks) end
        parts[#parts + 1], breaks, deeper = line, 0, indented
      end
    end
    return table.concat(parts)
  end

  -- A literal (`|`) or folded (`>`) text; its lines are indented deeper than `parent`.
  local function block_text(parent)
    local style, header = text:match("^([|>])([^ \t\n]*)", at)
    local digit, chomping = header:match("%d"), header:match("[+-]")
    if not (header:find("^[1-9]?[+-]?$") or header:find("^[+-][1-9]$")) then fail("bad header of a block text") end
    at = at + 1 + #header
    at = text:match("^[ \t]+#[^\n]*()", at) or text:match("^[ \t]*()", at)
    if character() ~= "\n" then fail("something after '" .. style .. "'") end
    at = at + 1
    local width, lines = digit and math.max(parent, 0) + tonumber(digit) or nil, {}
    while at <= #text do
      local spaces, mark = text:match("^( *)(.)", at)
      if mark ~= "\n" then
        width = width or #spaces
        if #spaces < width or width <= math.max(parent, 0) then break end
      end
      local stop = text:find("\n", at, true)
      lines[#lines + 1] = text:sub(at + (width or #spaces), stop - 1)
      at = stop + 1
    end
    local last = #lines
    while last > 0 and lines[last] == "" do last = last - 1 end
    local body = table.move(lines, 1, last, 1, {})
    local breaks = #lines - last + (last > 0 and 1 or 0) - (unended and at > #text and 1 or 0)
    next_content()
    local ending = chomping == "-" and "" or ("\n"):rep(chomping == "+" and breaks or last > 0 and math.min(breaks, 1) or 0)
    return (style == "|" and table.concat(body, "\n") or joined(body)) .. ending
  end

  -- Flow collections ------------------------------------------------------------------------------------------------

  local function skip_flow()
    at = text:find("[^ \t\n]", at) or #text + 1
    while character() == "#" and text:find("^%s", at - 1) do
      at = text:find("\n", at, true)
      at = text:find("[^ \t\n]", at) or #text + 1
    end
  end

  -- A plain text inside brackets: up to a bracket, a comma, a ": " or a comment.
  local function flow_plain()
    local parts, from = {}, at
    check_plain()
    while true do
      at = text:find("[,%[%]{}:#\n]", at) or #text
      local mark = character()
      local part = mark == ":" and not text:find("^[%s,%[%]{}]", at + 1) or mark == "#" and not text:find("^%s", at - 1)
      if part then
        at = at + 1
      else
        parts[#parts + 1] = trimmed(text:sub(from, at - 1))
        if mark ~= "\n" then return table.concat(parts) end
        at = at + 1
        local breaks = folded()
        from = at
        if text:find("^[,%[%]{}#]", at) or text:find("^:[%s,%[%]{}]", at) or at > #text then return table.concat(parts) end
        parts[#parts + 1] = breaks
      end
    end
  end

  local function flow_key()
    local key
    if character():find("[\"']") then key = quoted() else key = flow_plain() end
    skip_flow()
    if character() ~= ":" then fail("expected ': ' behind a key") end
    at = at + 1
    return key
  end

  local function checked(key, seen)
    if seen[key] then fail(("the key %q comes twice"):format(key)) end
    if key == "<<" then fail("a merge key (<<) is not understood") end
    seen[key] = true
    return key
  end

  local flow

  -- The value behind a key inside braces: perhaps none.
  local function flow_value(depth)
    skip_flow()
    if not character():find("[,}]") then return flow(depth) end
  end

  function flow(depth)
    if depth > yaml.DEEPEST then fail("too deep") end
    skip_flow()
    local open = character()
    if open == '"' or open == "'" then return quoted() end
    if open ~= "[" and open ~= "{" then return resolved(flow_plain()) end
    local found, seen, close = open == "[" and json.list {} or {}, {}, open == "[" and "]" or "}"
    repeat
      at = at + 1
      skip_flow()
      if character() == close then break end
      if open == "[" then found[#found + 1] = flow(depth + 1) else found[checked(flow_key(), seen)] = flow_value(depth + 1) end
      skip_flow()
    until character() ~= ","
    if character() ~= close then fail("expected ',' or '" .. close .. "'") end
    at = at + 1
    return found
  end

  -- Block collections -----------------------------------------------------------------------------------------------

  local function at_item() return text:find("^%-[ \t\n]", at) ~= nil end

  -- A key with its ": " at this place: its text, and where what follows starts; nothing if there is none.
  local function key_here()
    local from, key, behind = at, nil, nil
    if character():find("[\"']") then
      local ok, content = pcall(quoted)
      key = ok and content
      behind = ok and text:match("^[ \t]*:()[ \t\n]", at)
      if behind and text:sub(from, at):find("\n", 1, true) then behind = nil end
    else
      local line = text:match("^[^\n]*\n", at)
      local stop = line:find(":[ \t\n]")
      if stop and not line:sub(1, stop):find("[ \t]#") and not line:find("^[%[{]") then key, behind = trimmed(line:sub(1, stop - 1)), at + stop end
    end
    at = from
    if behind then return key, behind end
  end

  local function list(column, depth)
    local items = json.list {}
    repeat
      at = at + 1
      items[#items + 1] = node(column, depth + 1, false)
    until indent ~= column or not at_item()
    if indent > column then fail("wrong indentation") end
    return items
  end

  local function mapping(column, depth)
    local object, seen = {}, {}
    repeat
      if not character():find("[\"']") then check_plain() end
      local key, behind = key_here()
      if not key then fail("expected 'key: value'") end
      at = behind
      object[checked(key, seen)] = node(column, depth + 1, true)
    until indent ~= column
    if indent > column then fail("wrong indentation") end
    return object
  end

  -- The value that starts here, in `column`. collections: whether a block list or mapping may.
  local function content(column, parent, depth, collections)
    local first = character()
    if at_item() or key_here() then
      if not collections then fail(at_item() and "a list behind its key" or "a ': ' inside a value (quote the value)") end
      return at_item() and list(column, depth) or mapping(column, depth)
    end
    if first == "|" or first == ">" then return block_text(parent) end
    if not first:find("[%[{\"']") then return plain(parent) end
    local value = flow(depth)
    finish_line()
    return value
  end

  -- What stands behind a key or a list's dash in column `parent`, on that line or below it.
  function node(parent, depth, behind_key)
    if depth > yaml.DEEPEST then fail("too deep") end
    at = text:match("^[ \t]*()", at)
    if character() ~= "\n" and not (character() == "#" and text:find("^[ \t]", at - 1)) then
      return content(at - start, parent, depth, not behind_key)
    end
    finish_line()
    if indent > parent or behind_key and indent == parent and at_item() then return content(indent, parent, depth, true) end
  end

  -- The document ----------------------------------------------------------------------------------------------------

  local _, wrong = utf8.len(text)
  at = wrong or text:find("[\0-\8\11\12\14-\31\127]") or 1
  if wrong then fail("bytes that are not UTF-8") elseif text:find("^[\0-\8\11\12\14-\31\127]", at) then fail("a control character") end
  next_content()
  if indent < 0 then return nil end
  local value = content(indent, -1, 0, true)
  if at <= #text then fail("something after the value") end
  return value
end

return yaml

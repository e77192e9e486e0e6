local yaml, json = require "yaml", require "json"

local function shown(text)
  local value = yaml.decode(text)
  return value == nil and "nothing" or json.encode(value):gsub("\\u000a", "\\n")
end

test("YAML: what it means", function()
  for text, wanted in pairs {
    [""] = "nothing", ["# a\n\n"] = "nothing", ["~"] = "nothing", ["---\n..."] = "nothing",
    ["a: b"] = '{"a":"b"}', ["\239\187\191a: b\r\nc: d\r"] = '{"a":"b","c":"d"}', ["--- # x\na: b\n...\n# y\n"] = '{"a":"b"}',
    ["a: no\nb: 012\nc: 1e3\nd: null\ne: ~\nf:\ng: Null"] = '{"a":"no","b":"012","c":"1e3"}',
    ["a:\n- b\n-   c\n-\nd: e"] = '{"a":["b","c"],"d":"e"}', ["a:\n  - - x\n    - y\n  - k: v\n    l: w"] = '{"a":[["x","y"],{"k":"v","l":"w"}]}',
    ["a: b # c\nd: e#f\ng: 'h # i'"] = '{"a":"b","d":"e#f","g":"h # i"}', ['"a b": c\n\'d:\' : e'] = '{"a b":"c","d:":"e"}',
    ["a: b\n  c\n\n  d"] = '{"a":"b c\\nd"}', ["a: 'it''s\n  so'"] = '{"a":"it\'s so"}', ['a: "x\\ty\\u00e9\\\n  z"'] = '{"a":"x\\u0009yéz"}',
    ["a: |\n  x\n   y\n\n  z\n\nb: c"] = '{"a":"x\\n y\\n\\nz\\n","b":"c"}', ["a: |-\n x\n\n"] = '{"a":"x"}', ["a: |+\n x\n\n"] = '{"a":"x\\n\\n"}',
    ["a: |2\n   x\n"] = '{"a":" x\\n"}', ["a: >\n x\n y\n\n z\n  w\n v\n"] = '{"a":"x y\\nz\\n w\\nv\\n"}', ["a: |\nb: c"] = '{"a":"","b":"c"}',
    ["a: [b, 'c', [d], {e: f}, null,\n  g h, # i\n]"] = '{"a":["b","c",["d"],{"e":"f"},"g h"]}', ["{a: b, c: , 'd':e}"] = '{"a":"b","d":"e"}',
    ['{"a":{"b":[1,true,"\\ud83d\\ude00"]}}'] = '{"a":{"b":["1","true","😀"]}}', ["a: x:y\nb: http://c/d"] = '{"a":"x:y","b":"http://c/d"}',
  } do same(shown(text), wanted) end
end)
test("YAML: what is not understood is an error with its line", function()
  for text, why in pairs {
    ["a: b\nc: *d"] = "an alias %(%*%) is not understood at line 2", ["a: !!str b"] = "a tag", ["%YAML 1.2"] = "a directive", ["a: &x b"] = "an anchor",
    ["<<: x"] = "merge key", ["? a\n: b"] = "cannot start", ["a: b\n---\nc: d"] = "a second document at line 2", ["a: b\n...\nc: d"] = "second document",
    ["a: b\na: c"] = "comes twice at line 2", ["{a: b,\n a: c}"] = "comes twice at line 2", ["a:\n\tb: c"] = "a tab in the indentation at line 2",
    ["a: b\n  c: d"] = "inside a value", ["a:\n  b: c\n d: e"] = "wrong indentation at line 3", ["a: - b"] = "a list behind its key",
    ["a: [b"] = "expected ',' or '%]'", ["a: {b}"] = "expected ': ' behind a key", ["a: 'b"] = "unfinished text at line 1", ['a: "\\q"'] = "bad escape",
    ["a: @b"] = "cannot start", ["a: 'b' c"] = "something after the value", ["a: |x\n b"] = "bad header", ["a: b\n- c"] = "cannot start",
    [("["):rep(100)] = "too deep", [("- "):rep(100)] = "too deep", ["a: \0"] = "control character", ["a: \n\27"] = "control character at line 2",
  } do raises(why, yaml.decode, text) end
end)

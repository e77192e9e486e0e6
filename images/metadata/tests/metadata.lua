local providers, userdata, json = require "providers", require "userdata", require "json"

test("OpenStack's document: name, keys in a fixed order, id", function()
  same(providers.openstack_document('{"uuid":"u","hostname":"h","public_keys":{"b":"ssh-rsa B","a":"ssh-rsa A"}}', "data"),
    { hostname = "h", instance = "u", keys = { "ssh-rsa A", "ssh-rsa B" }, userdata = "data" })
  same(providers.openstack_document('{"name":"n"}').hostname, "n")
end)
test("cidata's document, as YAML and as JSON", function()
  local wanted = { hostname = "box", instance = "i-1", keys = { "ssh-rsa A me", "ssh-rsa B" } }
  same(providers.cidata_document('instance-id: i-1\nlocal-hostname: "box"\npublic-keys:\n  - ssh-rsa A me\n  - "ssh-rsa B"\n'), wanted)
  same(providers.cidata_document('{"instance-id":"i-1","local-hostname":"box","public-keys":["ssh-rsa A me","ssh-rsa B"]}'), wanted)
  same(providers.cidata_document(nil, "data"), { keys = {}, userdata = "data" })
end)
test("labels from blkid", function()
  same(providers.labels('/dev/sr0: LABEL="CONFIG-2" TYPE="iso9660"\n/dev/vda1: UUID="x" TYPE="ext4"\n/dev/vdb: LABEL="cidata" UUID="A-B" TYPE="vfat"'),
    { { device = "/dev/sr0", label = "config-2", type = "iso9660" }, { device = "/dev/vdb", label = "cidata", type = "vfat" } })
end)
test("providers by name", function()
  local function names(...)
    local found = {}
    for _, place in ipairs(providers.named { ... }) do found[#found + 1] = place.name end
    return found
  end
  same(names("openstack"), { "openstack", "openstack" })
  same(names("cdrom", "file=/x"), { "cdrom", "file" })
  same(names(), { "openstack", "cdrom", "file", "openstack" })
  raises("unknown provider", providers.named, { "clown" })
  raises("unknown provider", providers.named, { "file=relative" })
end)

test("host names", function()
  for _, good in ipairs { "a", "node-1.example.org", ("x"):rep(64) } do same(userdata.hostname(good), good) end
  same(userdata.hostname("first." .. ("y"):rep(80)), "first")
  for _, bad in ipairs { "", "-a", "a b", "a\nb", "a..b", "$(reboot)", ("x"):rep(65), 5 } do same(userdata.hostname(bad), nil) end
end)
test("keys: a type and a key, nothing before it", function()
  local keys, refused = userdata.keys { "ssh-ed25519 AAAA me@here\n", 'command="x" ssh-rsa AAAA', "ssh-rsa AAAA\necdsa-sha2-nistp256 BBBB", "# note", 7 }
  same(keys, { "ssh-ed25519 AAAA me@here", "ssh-rsa AAAA", "ecdsa-sha2-nistp256 BBBB" })
  same(refused, 1)
end)

local function plan(text) return userdata.plan(json.decode(text)) end
test("user data becomes files, directories first", function()
  same(plan '{"d":{"perm":"0700","entries":{"f":{"content":"x","perm":"600"}}},"a":{"content":""}}', {
    { path = "a", mode = 420, content = "" },
    { path = "d", mode = 448 },
    { path = "d/f", mode = 384, content = "x" },
  })
end)
test("user data that must not become files", function()
  for text, why in pairs {
    ['{"../x":{"content":""}}'] = "not a file name", ['{"a/b":{"content":""}}'] = "not a file name", ['{"..":{"content":""}}'] = "not a file name",
    ['{"":{"content":""}}'] = "not a file name", ['{"a\\u0000":{"content":""}}'] = "not a file name", ['{"a":{}}'] = "either content or entries",
    ['{"a":{"content":"","entries":{}}}'] = "either", ['{"a":{"content":"","perm":"4755"}}'] = "perm", ['{"a":{"content":5}}'] = "must be a string",
    ['{"a":5}'] = "expected an object", ["[1]"] = "expected an object", ['{"a":{"entries":[]}}'] = "expected an object",
    ['{"a":{"content":"' .. ("x"):rep((1 << 20) + 1) .. '"}}'] = "larger",
  } do raises(why, plan, text) end
  local deep = '{"a":{"content":""}}'
  for _ = 1, 20 do deep = '{"d":{"entries":' .. deep .. "}}" end
  raises("too deep", plan, deep)
end)

local providers, userdata, json = require "providers", require "userdata", require "json"

test("OpenStack's document: name, keys in a fixed order, id", function()
  same(providers.openstack_document('{"uuid":"u","hostname":"h","public_keys":{"b":"ssh-rsa B","a":"ssh-rsa A"}}', "data"),
    { hostname = "h", instance = "u", keys = { "ssh-rsa A", "ssh-rsa B" }, userdata = "data" })
  same(providers.openstack_document('{"name":"n"}').hostname, "n")
  same(providers.openstack_document(nil, "data"), { keys = {}, userdata = "data" })
end)
test("OpenStack's document: null and empty are nothing; keys with types", function()
  same(providers.openstack_document '{"uuid":null,"hostname":null,"name":"n","public_keys":null,"keys":null}', { hostname = "n", keys = {} })
  same(providers.openstack_document('{"hostname":"","name":"n"}').hostname, "n")
  same(providers.openstack_document('{"keys":[{"type":"x509","data":"x"},{"type":"ssh","name":"a","data":"ssh-rsa A"}]}').keys, { "ssh-rsa A" })
  same(providers.openstack_document('{"keys":[{"type":"ssh","data":"ssh-rsa B"}],"public_keys":{"a":"ssh-rsa A"}}').keys, { "ssh-rsa A" })
end)
test("OpenStack's document that is wrong is an error", function()
  for text, why in pairs {
    ["{broken"] = "meta_data.json: JSON: expected a key at line 1", [""] = "expected a value", ["[]"] = "expected an object", ["null"] = "expected an object",
    ['"x"'] = "expected an object", ["5"] = "expected an object", ['{"hostname":5}'] = "hostname: expected a text", ['{"uuid":{}}'] = "uuid: expected",
    ['{"public_keys":5}'] = "public_keys: expected public keys", ['{"public_keys":{"a":true}}'] = "public_keys: expected", ['{"keys":{}}'] = "expected a list",
    ['{"keys":[1]}'] = "list of objects", ['{"uuid":"a","uuid":"b"}'] = 'the key "uuid" comes twice', ['{"a":"\\ud800\\u0041"}'] = "bad",
  } do raises(why, providers.openstack_document, text) end
end)

local K, L = "ssh-rsa A me", "ssh-rsa B"
test("cidata's document: keys in every form", function()
  for text, wanted in pairs {
    ["public-keys:\n  - ssh-rsa A me\n  - 'ssh-rsa B'\n"] = { K, L },
    ["public-keys:\n- ssh-rsa A me # mine\n- \"ssh-rsa B\"\n"] = { K, L },
    ["public-keys: [ssh-rsa A me, ssh-rsa B]\n"] = { K, L },
    ["public-keys: ssh-rsa A me"] = { K },
    ["public-keys: |\n  ssh-rsa A me\n  ssh-rsa B\n"] = { "ssh-rsa A me\nssh-rsa B\n" },
    ["public-keys:\n  b: ssh-rsa B\n  a: ssh-rsa A me\n"] = { K, L },
    ["public-keys: {a: ssh-rsa A me}"] = { K },
    ["public-keys:\n  0:\n    openssh-key: ssh-rsa A me\n"] = { K },
    ["public-keys:\n  mine:\n    - ssh-rsa A me\n    - ssh-rsa B\n"] = { K, L },
    ["public_keys: ssh-rsa A me"] = { K },
    ['{"public-keys":["ssh-rsa A me","ssh-rsa B"]}'] = { K, L },
    ['{"public-keys":{"0":{"openssh-key":"ssh-rsa A me"}}}'] = { K },
    ["public-keys:\n"] = {}, ["public-keys: null"] = {}, ["public-keys: []"] = {}, [""] = {}, ["\n# nothing\n"] = {}, ["{}"] = {},
  } do same(providers.cidata_document(text).keys, wanted) end
end)
test("cidata's document: name, id, and what else may stand in it", function()
  local text = "instance-id: 12 # text\r\nlocal-hostname: 'box'\r\nhostname: other\r\nnetwork-interfaces: |\r\n  auto eth0\r\n  iface eth0: x\r\ntags: [{a: b}]\r\n"
  same(providers.cidata_document(text, "data"), { hostname = "box", instance = "12", keys = {}, userdata = "data" })
  same(providers.cidata_document("hostname: h\nlocal-hostname:\n").hostname, "h")
  same(providers.cidata_document(nil, "data"), { keys = {}, userdata = "data" })
end)
test("cidata's document that is not understood is an error with its line", function()
  for text, why in pairs {
    ["- a"] = "meta%-data: expected an object", ["text"] = "expected an object", ["a: 1\na: 2"] = 'the key "a" comes twice at line 2',
    ["a: 1\nb c"] = "line 2", ["public-keys: &k x"] = "an anchor %(&%) is not understood at line 1", ["local-hostname: [a]"] = "local%-hostname: expected a text",
    ["public-keys:\n  a: b: c"] = "line 2", ["\127"] = "control character", ["a: \255"] = "UTF%-8",
  } do raises(why, providers.cidata_document, text) end
end)

local function drive(files) return function(name) return files[name] end end
test("a config drive: OpenStack's folder, or EC2's", function()
  local latest = "openstack/latest/"
  same(providers.config_drive(drive { [latest .. "user_data"] = "#!/bin/sh" }), { keys = {}, userdata = "#!/bin/sh", ignored = {} })
  same(providers.config_drive(drive { [latest .. "meta_data.json"] = '{"hostname":"h"}', [latest .. "vendor_data.json"] = "{}", [latest .. "network_data.json"] = '{"a":1}' }),
    { hostname = "h", keys = {}, ignored = { "network_data.json" } })
  same(providers.config_drive(drive { ["ec2/latest/meta-data.json"] = '{"instance-id":"i","hostname":"h","public-keys":{"0":{"openssh-key":"ssh-rsa A me"}}}' }),
    { hostname = "h", instance = "i", keys = { K }, ignored = {} })
  raises("neither openstack/latest nor ec2/latest", providers.config_drive, drive {})
end)
test("a NoCloud drive", function()
  same(providers.nocloud(drive { ["user-data"] = "x", ["meta-data"] = "", ["network-config"] = "version: 2", ["vendor-data"] = "" }),
    { keys = {}, userdata = "x", ignored = { "network-config" } })
  raises("neither meta%-data nor user%-data", providers.nocloud, drive { ["vendor-data"] = "x" })
end)
test("answers by HTTP", function()
  for said, wanted in pairs {
    ["wget: server returned error: HTTP/1.1 404 Not Found"] = "absent", ["wget: server returned error: HTTP/1.1 500 404"] = "wrong",
    ["wget: can't connect to remote host (169.254.169.254): No route to host"] = "silent", [""] = "silent",
  } do same(providers.answered(1, said), wanted) end
  same(providers.answered(0, ""), "there")
  same(providers.answered(128 + 25, ""), "wrong")
  same(providers.answered(128 + 9, ""), "silent")
end)
test("machines that say that they are OpenStack's", function()
  for field, text in pairs { product_name = "OpenStack Nova\n", sys_vendor = "OpenStack Foundation\n", chassis_asset_tag = "OpenTelekomCloud\n" } do
    same(providers.is_openstack { [field] = text }, true)
  end
  for _, dmi in ipairs { {}, { product_name = "Standard PC (Q35 + ICH9, 2009)\n", sys_vendor = "QEMU\n" }, { product_name = "HUAWEICLOUD" } } do
    same(providers.is_openstack(dmi), false)
  end
end)
test("labels from blkid", function()
  same(providers.labels('/dev/sr0: LABEL="CONFIG-2" TYPE="iso9660"\n/dev/vda1: UUID="x" TYPE="ext4"\n/dev/vdb: LABEL="cidata" UUID="A-B" TYPE="vfat"'),
    { { device = "/dev/sr0", label = "config-2", type = "iso9660" }, { device = "/dev/vdb", label = "cidata", type = "vfat" } })
end)
test("the label of an ISO 9660 descriptor", function()
  same(providers.iso_label("\1CD001\1\0" .. (" "):rep(32) .. "CIDATA" .. (" "):rep(26) .. "x"), "cidata")
  same(providers.iso_label("\1CD001\1\0" .. (" "):rep(64)), "")
  same(providers.iso_label(""), nil)
  same(providers.iso_label(("\0"):rep(2048)), nil)
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
  same(names("openstack-http=always", "config-drive"), { "openstack", "openstack" })
  raises("unknown provider", providers.named, { "clown" })
  raises("unknown provider", providers.named, { "openstack-http=never" })
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
  same(plan '{"a":{"content":"x","entries":null,"perm":null},"b":null,"../c":null}', { { path = "a", mode = 420, content = "x" } })
end)
test("user data that must not become files", function()
  for text, why in pairs {
    ['{"../x":{"content":""}}'] = "not a file name", ['{"a/b":{"content":""}}'] = "not a file name", ['{"..":{"content":""}}'] = "not a file name",
    ['{"":{"content":""}}'] = "not a file name", ['{"a\\u0000":{"content":""}}'] = "not a file name", ['{"a":{}}'] = "either content or entries",
    ['{"a":{"content":"","entries":{}}}'] = "either", ['{"a":{"content":"","perm":"4755"}}'] = "perm", ['{"a":{"content":5}}'] = "must be a string",
    ['{"a":5}'] = "expected an object", ["[1]"] = "expected an object", ['{"a":{"entries":[]}}'] = "expected an object",
    ['{"a":{"content":"' .. ("x"):rep((1 << 20) + 1) .. '"}}'] = "larger",
    ['{"a":{"content":"","perm":"0777"}}'] = "perm 0777 has more than 0755", ['{"a":{"content":"","perm":"664"}}'] = "more than 0755",
    ['{"d":{"entries":{},"perm":"1777"}}'] = "perm is not", ['{"d":{"entries":{},"perm":"0770"}}'] = "more than", ['{"a":{"content":"","perm":420}}'] = "perm is not a text",
    ['{"a":{"content":null}}'] = "either content or entries", ['{"provider":{"content":"x"}}'] = "written by metadata itself",
    ['{"userdata":{"content":"x"}}'] = "written by metadata itself", ['{"hostname":{"content":"$(reboot)"}}'] = "not a host name",
    ['{"hostname":{"entries":{}}}'] = "must be a file", ['{"instance_id":{"content":"../x"}}'] = "not an instance's id",
  } do raises(why, plan, text) end
  local deep = '{"a":{"content":""}}'
  for _ = 1, 20 do deep = '{"d":{"entries":' .. deep .. "}}" end
  raises("too deep", plan, deep)
end)
test("keys in user data go through the keys' filter", function()
  local function keys(name, content) return plan('{"ssh":{"entries":{"' .. name .. '":{"content":"' .. content .. '"}}}}') end
  same(keys("authorized_keys", "# mine\\n\\nssh-ed25519 AAAA me\\n")[2].content, "# mine\n\nssh-ed25519 AAAA me\n")
  same(#keys("known_hosts", "command=x"), 2)
  for _, name in ipairs { "authorized_keys", "authorized_keys2", "Authorized_Keys" } do
    raises("ssh/%a+_%a+2?: 1 lines are not public keys", keys, name, 'ssh-rsa AAAA\\ncommand=\\"x\\" ssh-rsa AAAA')
  end
  raises("are not public keys", plan, '{"authorized_keys":{"content":"cert-authority ssh-rsa AAAA"}}')
  raises("are not public keys", plan, '{"authorized_keys":{"content":"ssh-rsa ' .. ("A"):rep(20000) .. '"}}')
end)
test("long lines take no long time", function()
  local spaces = (" "):rep(1 << 20)
  same({ userdata.keys { "ssh-rsa AAAA" .. spaces .. "x", spaces } }, { {}, 1 })
  for _, text in ipairs { "a: x" .. spaces .. "x", "a: '" .. spaces .. "x", "a: [x" .. spaces .. "x", "a: >\n x" .. spaces .. "x", "a:" .. spaces .. ":x", spaces } do
    pcall(providers.cidata_document, text)
  end
end)

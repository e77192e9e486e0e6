"""`doit shared`: whether caches answer, who is trusted, what the last builds got."""

import json

from tests.project import doit, new_project
from tests.shared.loopback import cache
from tests.shared.machines import key_file, trust

SPEC = "files: [{path: etc/hostname, contents: web}]\nbuild: {formats: [tar]}\n"


def test_a_cache_is_shown_with_what_builds_got_from_it(tmp_path):
    ci, laptop = (new_project(tmp_path / name, web=SPEC) for name in ("ci", "laptop"))
    assert "there is no shared cache: set NODEKILN_SHARED" in doit("shared", cwd=ci, code=1)
    with cache() as server:
        own = {"NODEKILN_SHARED": server.url, "NODEKILN_SIGN": str(key_file(tmp_path, "ci"))}
        text = doit("shared", cwd=ci, NODEKILN_SHARED_PUSH="1", **own)
        assert f"{server.url}: answers in " in text and "pushed to" in text and f"own key: {trust('ci')}" in text
        assert "blobs pushed" in doit("build", cwd=ci, NODEKILN_SHARED_PUSH="1", **own)
        own = {"NODEKILN_SHARED": server.url, "NODEKILN_TRUST": trust("ci")}
        assert "in shared caches: 3 of 3 results" in doit("plan", cwd=laptop, **own)
        assert "1 ran, 3 restored, 0 up to date (shared: 3 of 3 results" in doit("build", cwd=laptop, **own)
        assert "in shared caches: 0 of 0" in doit("plan", cwd=laptop, **own)
        server.log.clear()
        assert "shared" not in doit("build", cwd=laptop, **own) and not server.log
        text = doit("shared", cwd=laptop, **own)
        assert "read only" in text and "last 1 builds: 3 of 3 results (100 %)" in text and "own key" not in text
    text = doit("shared", cwd=laptop, code=1, **own)
    assert f"{server.url}: Connection refused" in text and "Traceback" not in text


def test_other_reporters_wait_for_pushes_too(tmp_path):
    ci = new_project(tmp_path / "ci", web=SPEC)
    with cache() as server:
        own = {"NODEKILN_SHARED": server.url, "NODEKILN_SIGN": str(key_file(tmp_path, "ci"))}
        text = doit("-r", "json", "build", cwd=ci, NODEKILN_SHARED_PUSH="1", **own)
        document, puts = json.loads(text), len(server.names("cas"))
        assert document["tasks"] and len(server.names("ac")) == 6
        (counts,) = document["shared"]
        assert (counts["hits"], counts["pushed"], counts["stated"], counts["unpushed"]) == (0, puts, 6, 0)
        assert counts["asked"] == 5 and counts["up"] == sum(len(server.files[name]) for name in server.names("cas"))
        laptop = new_project(tmp_path / "laptop", web=SPEC)
        own = {"NODEKILN_SHARED": server.url, "NODEKILN_TRUST": trust("ci")}
        (counts,) = json.loads(doit("-r", "json", "build", cwd=laptop, **own))["shared"]
        assert counts["hits"] == 3 and counts["down"] > 0 and counts["pushed"] == 0
        assert "shared" not in json.loads(doit("-r", "json", "build", cwd=laptop, **own))
        assert "last 1 builds: 3 of 3 results" in doit("shared", cwd=laptop, **own)


def test_offline_opens_no_socket(tmp_path):
    ci = new_project(tmp_path / "ci", web=SPEC)
    with cache() as server:
        own = {"NODEKILN_SHARED": server.url, "NODEKILN_TRUST": trust("ci"), "NODEKILN_OFFLINE": "1"}
        assert "4 ran" in doit("build", cwd=ci, **own) and not server.log

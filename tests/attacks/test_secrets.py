"""What a spec keeps from others stays away from records, from doit's database and from what people are shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.host.redact import redact
from pipeline.store import Store
from tests.attacks.conftest import Project

SECRETS = ("hunter2", "hunter3", "tr0ub4dor", "correct horse")
"""Of a variable (and as it was before), of contents, and of a source."""
SPEC = """\
init: ["oci:layout"]
services: [{{name: s, image: "oci:layout", command: [/x], env: ["PASSWORD={password}", LANG=C]}}]
files:
- {{path: etc/secret, contents: tr0ub4dor}}
- {{path: etc/key, source: key, mode: "0600"}}
build: {{formats: [tar], arch: amd64}}
"""


def prepared(project: Project, password: str) -> None:
    from tests.attacks.test_build import node
    from tests.oci import craft

    layout = project.root / "layout"
    if not layout.exists():
        digest = craft.image(layout, [craft.archive(craft.entry("x"))])
        node(project.root, "x", Path("layout"), digest, "0")
        (project.root / "specs/key").write_text("correct horse")
        (project.root / "specs/key").chmod(0o600)
    (project.root / "specs/x.yml").write_text(SPEC.format(password=password))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_records_hold_digests_and_people_see_names(project: Project) -> None:
    prepared(project, "hunter2")
    said = project.builds("build:x")
    prepared(project, "hunter3")
    for words in (
        ("info", "build:x:services/s"), ("why:x",), ("why:x", "--all"), ("plan:x",), ("graph:x",), ("build:x",),
        ("graph:x", "--format=dot", "-o", "-"), ("check:x",), ("list", "--all", "build:x"), ("size:x",),
    ):  # fmt: skip
        ended = project.doit(*words)
        assert "Traceback" not in ended.stderr, ended.stderr
        said += ended.stdout + ended.stderr
    assert "entry.env.PASSWORD: 'sha256:f52fbd32b2b3' -> 'sha256:" in said, said
    assert not [secret for secret in SECRETS if secret in said]
    kept = [*files(project.root / "cache/actions"), *files(project.root / "cache/sums")]
    kept += [path for path in files(project.root / "build") if path.name != "x.tar"]
    assert kept
    for path in kept:
        data = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in data], path
    assert b"tr0ub4dor" in (project.root / "build/x/x.tar").read_bytes(), "the result has it"


def test_old_records_are_not_shown_either() -> None:
    from pipeline.tasks import staleness

    before = {
        "key": "1",
        "params": {"entry": {"env": ["A=hunter2"]}, "files": [{"path": "a", "contents": "tr0ub4dor"}]},
    }
    now = {
        "key": "2",
        "params": {"entry": {"env": ["A=hunter3"]}, "files": [{"path": "a", "contents": "x"}]},
        "inputs": {},
    }
    said = staleness.difference(before, now) + staleness.summary(before, now)
    assert "entry.env.A" in said and "files[a].contents" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_everything_respects_the_umask(project: Project) -> None:
    prepared(project, "hunter2")
    assert project.doit("build:x", umask=0o077).returncode == 0
    made = [path for name in ("cache", "build") for path in (project.root / name).rglob("*")]
    assert len(made) > 20
    assert [path for path in made if stat.S_IMODE(os.lstat(path).st_mode) & 0o077] == []


def test_a_group_shares_a_cache_if_its_umask_says_so(tmp_path: Path) -> None:
    for umask, mode in ((0o002, 0o444), (0o022, 0o444), (0o027, 0o440), (0o077, 0o400)):
        before = os.umask(umask)
        try:
            store = Store(tmp_path / f"{umask:o}")
            blob = store.path(store.put(b"data"))
        finally:
            os.umask(before)
        assert stat.S_IMODE(blob.stat().st_mode) == mode
        assert stat.S_IMODE(blob.parent.stat().st_mode) == 0o777 & ~umask


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["contents", "env", "Env", "org.mobyproject.config", "a", "b"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_redacting_twice_changes_nothing(params: dict[str, object]) -> None:
    once = redact(params)
    assert redact(once) == once


@given(st.text(min_size=1), st.text(min_size=1))
def test_another_secret_is_another_record(one: str, other: str) -> None:
    records = [redact({"files": [{"contents": each}], "env": [f"A={each}"]}) for each in (one, other)]
    assert (records[0] == records[1]) == (one == other)

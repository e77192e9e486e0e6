"""Every hostile image, through the real stages, beside a good image whose place in the store must not change."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipeline.oci.error import Refusal
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store, StoreError
from tests.attacks.corpus import CORPUS
from tests.oci import craft

MEMORY = 2 << 30
"""Bytes of address space for the whole corpus, its making included: a bomb is 600 MiB before it is packed."""
SECONDS = 120
"""Of CPU time, for the same."""
ROWS = 48
"""What there is bad input of, by kind; tests/attacks/attack.py says which the numbers are."""
ELSEWHERE = {
    21: "oci.test_hosts:test_a_redirect_or_realm_to_the_inside_is_refused"
    " oci.test_hosts:test_another_port_of_the_same_host_is_another_place"
    " oci.test_hosts:test_never_from_https_to_http",
    22: "oci.test_credentials:test_a_redirect_to_another_host_carries_no_credentials",
    25: "oci.test_http:test_a_tag_that_moves_between_resolving_and_pulling_changes_nothing"
    " oci.test_http:test_docker_content_digest_is_not_believed",
    26: "oci.test_resolve:test_deep_and_wide_indexes_end oci.test_manifest:test_the_nearest_platform_is_chosen"
    " oci.test_manifest:test_of_equal_platforms_the_first_and_no_attestation",
    28: "engine.test_action:test_any_single_change_of_a_parameter_is_another_key"
    " engine.test_action:test_other_inputs_or_another_order_are_another_key"
    " engine.test_action:test_another_version_or_function_is_another_key_for_all_that_builds_on_it",
    29: "store.test_fault:test_any_blobs_may_be_cut_short"
    " store.test_fault:test_fsck_finds_every_flipped_bit_and_the_next_build_is_right"
    " engine.test_kill:test_a_killed_build_leaves_whole_objects_and_the_next_one_is_right",
    34: "oci.test_auth:test_a_helper_is_a_name",
    39: "language.test_document:test_anchors_that_explode_are_refused"
    " language.test_document:test_keys_are_texts_and_stand_once"
    " language.test_document:test_a_scalar_means_what_yaml_1_2_says",
    40: "oci.test_http:test_a_download_that_breaks_goes_on_where_it_broke"
    " oci.test_http:test_a_drip_is_weather oci.test_credentials:test_an_expired_token_is_replaced",
    41: "recipe.test_assemble:test_neither_umask_nor_zone_nor_place_nor_order_is_in_an_image",
    42: "planning.test_signatures:test_one_key_under_two_names_counts_once"
    " trust.test_policy:test_a_key_in_a_certificate_is_that_key",
    43: "planning.test_signatures:test_a_signature_of_the_index_is_none_of_the_manifest"
    " planning.test_signatures:test_a_signature_by_a_key_under_cosigns_tag_believes_no_name"
    " planning.test_signatures:test_a_signature_of_another_image_is_refused"
    " planning.test_signatures:test_another_manifest_under_a_signed_index_is_refused"
    " planning.test_signatures:test_a_payload_with_the_right_name_and_another_digest_is_refused"
    " planning.test_signatures:test_an_attestation_is_no_signature"
    " oci.test_referrers:test_a_referrer_of_another_subject_is_a_fault",
    44: "planning.test_signatures:test_media_types_that_are_swapped_are_refused"
    " oci.test_referrers:test_what_is_no_signature_is_passed_over",
    45: "oci.test_referrers:test_ten_thousand_signatures_are_refused"
    " oci.test_referrers:test_signatures_of_many_bytes_are_refused_before_they_are_fetched"
    " oci.test_referrers:test_referrers_without_end_are_refused"
    " oci.test_referrers:test_a_malformed_one_does_not_hide_the_others",
    46: "oci.test_referrers:test_a_mirror_without_the_signature_is_named_and_the_next_is_asked"
    " oci.test_referrers:test_a_next_page_elsewhere_is_not_fetched",
    47: "trust.test_hostile_bundle:test_a_flipped_byte_is_refused"
    " trust.test_hostile_bundle:test_a_dropped_field_is_refused_unless_it_is_unused"
    " trust.test_hostile_bundle:test_a_retyped_field_is_refused_unless_it_is_unused"
    " trust.test_hostile_bundle:test_what_is_no_bundle_is_refused"
    " trust.test_bundle:test_several_signatures_of_an_envelope_are_refused"
    " trust.test_bundle:test_media_types_that_are_swapped_are_refused"
    " trust.test_bundle:test_validity_intervals_are_closed_and_end_may_be_null"
    " trust.test_checkpoint:test_a_signed_note_that_is_no_checkpoint_of_the_log_is_refused"
    " trust.test_signer:test_two_signatures_by_one_signer_count_once"
    " trust.test_timestamp:test_each_flipped_byte_is_refused"
    " trust.test_jws:test_the_public_key_is_no_secret_of_hmac"
    " trust.test_jws:test_a_header_of_jws_itself_is_not_critical"
    " trust.test_notation:test_a_protected_header_that_breaks_a_rule_is_refused",
    48: "packages.test_bill:test_a_hostile_bill_is_refused_in_one_line"
    " packages.test_bill:test_another_bill_of_cyclonedx_is_refused"
    " planning.test_bills:test_a_hostile_bill_is_not_locked"
    " planning.test_bills:test_too_large_and_too_many_bills_are_not_locked"
    " planning.test_bills:test_a_bill_of_another_platform_or_image_is_none_of_this",
}
"""Rows that no image alone can be: registries that lie, a store that was changed, specs, hosts."""


def state(store: Store) -> dict[str, bytes]:
    """Everything in the store but its locks: name -> content."""
    files = (path for path in store.root.rglob("*") if path.is_file() and path.parent.name not in ("locks", "sums"))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files if path.suffix != ".lock"}


def check(name: str, folder: Path) -> None:
    """One attack: contained or refused as the corpus says, and nothing harmed."""
    attack, layout, store = CORPUS[name], folder / "layout", Store(folder / "store")
    probe = folder / "probe"
    probe.write_text("untouched")
    good = craft.image(folder / "good", [craft.archive(craft.entry("good"))])
    tree = unpack(store, pull(store, reference=f"oci:{folder}/good", manifest=good))
    image = attack.build(layout)
    before, outside = state(store), sorted(path for path in folder.rglob("*") if folder / "store" not in path.parents)
    if attack.refused:
        with pytest.raises((Refusal, StoreError)) as caught:
            unpack(store, pull(store, reference=f"oci:{layout}", manifest=image))
        said = str(caught.value)
        assert re.search(attack.refused, said), said
        assert len(said) < 4000 and said.isprintable()
        assert "sha256:" in said or "layout" in said
    else:
        result = store.tree(unpack(store, pull(store, reference=f"oci:{layout}", manifest=image)))
        assert not any(path.startswith("/") or ".." in path.split("/") for path in result)
        assert not attack.paths or tuple(result) == tuple(sorted(attack.paths))
    after = state(store)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.startswith("tmp/")]
    assert sorted(path for path in folder.rglob("*") if folder / "store" not in path.parents) == outside
    assert probe.read_text() == "untouched" and list(Store(folder / "store").tree(tree)) == ["good"]


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_contained_or_refused(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_all_of_it_takes_bounded_memory_and_time(tmp_path: Path) -> None:
    """Once more in a process of its own, which the kernel ends if it takes too much of either."""
    program = (
        "import resource, sys, tempfile, pathlib\n"
        "from tests import patience\n"
        "from tests.attacks import corpus, test_corpus\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (round(patience.seconds(test_corpus.SECONDS)),) * 2)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (test_corpus.MEMORY,) * 2)\n"
        "for name in corpus.CORPUS:\n"
        "    with tempfile.TemporaryDirectory() as folder: test_corpus.check(name, pathlib.Path(folder))\n"
        "print('done')\n"
    )
    # Each thread would reserve 64 MiB of addresses, used or not.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout == "done\n", done.stderr[-3000:]


def test_every_row_is_a_test() -> None:
    corpus = {row for attack in CORPUS.values() for row in attack.rows}
    assert corpus | ELSEWHERE.keys() == set(range(1, ROWS + 1))
    for tests in ELSEWHERE.values():
        for test in tests.split():
            place, *names = test.split(":")
            found: Any = import_module(f"tests.{place}")
            for name in names:
                found = getattr(found, name)

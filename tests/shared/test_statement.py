"""Statements: what was signed comes back, and nothing else is believed."""

import base64
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest, canonical_json
from pipeline.model.errors import BadInput
from pipeline.shared import statement
from pipeline.shared.protobuf import Message, field
from pipeline.shared.statement import Believed, Refused, decode, encode, plan_key, public_key, verifier
from pipeline.store import Record
from tests.shared.machines import key, trust

VERIFY = verifier(dict([public_key(trust("ci"))]))
KEYS = [f"{number:064x}" for number in range(5)]

blobs = st.dictionaries(st.binary(max_size=4).map(Digest.of), st.integers(0, 1 << 40), min_size=1, max_size=6)


def sign(data, name="ci"):
    return {name: key(name).sign(data)}


@st.composite
def records(draw):
    """Records by key, as a plan has them."""
    made = {}
    for action in draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True)):
        own = draw(blobs)
        result = draw(st.sampled_from(sorted(own)))
        record = Record(result, own[result], {"seconds": draw(st.floats(0, 1000))}, own)
        made[action] = Believed(record, draw(st.booleans()), "ci")
    sizes = {blob: size for each in made.values() for blob, size in each.record.blobs.items()}
    return {
        action: each._replace(record=each.record._replace(
            size=sizes[each.record.result], blobs={blob: sizes[blob] for blob in each.record.blobs}
        ))
        for action, each in made.items()
    }  # fmt: skip


def example():
    blob, other = Digest.of(b"result"), Digest.of(b"content")
    return {KEYS[0]: Believed(Record(blob, 6, {"seconds": 1.5}, {blob: 6, other: 7}), False, "ci")}


@given(records())
def test_what_was_signed_comes_back(records):
    plan = plan_key(records)
    assert decode(plan, encode(plan, records, sign), VERIFY) == records
    for action, each in records.items():
        assert decode(action, encode(action, {action: each}, sign), VERIFY) == {action: each}


def test_a_server_of_the_remote_execution_api_sees_the_blobs_as_output_files():
    message = Message.parse(encode(KEYS[0], example(), sign))
    files = [(file.text(1), file.message(2).text(1), file.message(2).integer(2)) for file in message.messages(2)]
    assert files == sorted((blob.hex, blob.hex, size) for blob, size in example()[KEYS[0]].record.blobs.items())
    assert message.integer(4) == 0
    mirrored = {KEYS[0]: example()[KEYS[0]]._replace(mirrored=True)}
    assert not Message.parse(encode(KEYS[0], mirrored, sign)).messages(2)


def test_ten_thousand_mutations_are_never_used():
    chance, data, records = random.Random(1), encode(KEYS[0], example(), sign), example()
    other = encode(KEYS[1], {KEYS[1]: example()[KEYS[0]]}, sign)
    for _ in range(10_000):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at, until = sorted(chance.choices(range(len(mutated) + 1), k=2))
            match chance.randrange(5):
                case 0 if mutated:
                    mutated[at % len(mutated)] ^= 1 << chance.randrange(8)
                case 1:
                    del mutated[at : min(until, at + 40)]
                case 2:
                    mutated[at:at] = chance.randbytes(chance.randint(1, 8))
                case 3:
                    mutated[at:until] = other[at:until]
                case _:
                    del mutated[at:]
        try:
            assert decode(KEYS[0], bytes(mutated), VERIFY) == records  # what is not signed is not used
        except Refused:
            continue


def changed(**fields):
    """The example with other fields and the signature as it was."""
    document = json.loads(Message.parse(encode(KEYS[0], example(), sign)).record(5))
    return field(5, canonical_json(document | fields))


def test_no_statement_is_believed_without_a_signature_of_all_of_it():
    good = encode(KEYS[0], example(), sign)
    evil = Digest.of(b"evil")
    wrong = [
        (KEYS[0], encode(KEYS[0], example(), lambda data: {}), "trusted key"),
        (KEYS[0], encode(KEYS[0], example(), lambda data: sign(data, "mallory")), "trusted key"),
        (KEYS[0], encode(KEYS[0], example(), lambda data: {"ci": key("mallory").sign(data)}), "trusted key"),
        (KEYS[0], encode(KEYS[0], example(), lambda data: {"ci": b""}), "trusted key"),
        (KEYS[1], good, "another key"),
        (KEYS[1], changed(key=KEYS[1]), "trusted key"),
        (KEYS[0], changed(blobs={evil: 4}), "trusted key"),
        (KEYS[0], changed(records={KEYS[0]: {"result": evil, "blobs": [0]}}), "trusted key"),
        (KEYS[0], changed(nodekiln=2), "another generation"),
        (KEYS[0], changed(signatures=[]), "not a statement"),
        (KEYS[0], good[:-3], "not a statement"),
        (KEYS[0], b"", "not a statement"),
        (KEYS[0], field(5, b"[" * 100_000), "not a statement"),
        (KEYS[0], field(5, b'{"key":"a","key":"b"}'), "not a statement"),
    ]
    for action, data, why in wrong:
        with pytest.raises(Refused, match=why):
            decode(action, data, VERIFY)
    assert decode(KEYS[0], good, VERIFY) == example()
    assert decode(KEYS[0], encode(KEYS[0], example(), lambda data: {}), verifier({}, "this user")) != {}


@pytest.mark.parametrize(
    "fields",
    [
        {"blobs": {"md5:00": 1}},
        {"blobs": {Digest.of(b"result"): -1}},
        {"blobs": {Digest.of(b"result"): True}},
        {"blobs": []},
        {"records": {KEYS[0]: {"result": Digest.of(b"result"), "blobs": [9]}}},
        {"records": {KEYS[0]: {"result": Digest.of(b"result"), "blobs": [-1]}}},
        {"records": {KEYS[0]: {"result": Digest.of(b"other"), "blobs": [0]}}},
        {"records": {"../../etc": {"result": Digest.of(b"result"), "blobs": [0, 1]}}},
        {"records": {KEYS[0]: {"result": Digest.of(b"result"), "blobs": [0, 1], "seconds": -1}}},
        {"records": {KEYS[0]: {"result": Digest.of(b"result"), "blobs": [0, 1], "mirrored": 1}}},
    ],
)
def test_signed_nonsense_is_refused(fields):
    document = json.loads(Message.parse(changed(**fields)).record(5))
    del document["signatures"]
    signature = base64.b64encode(key("ci").sign(statement.MARK + canonical_json(document))).decode()
    with pytest.raises(Refused, match="not a statement"):
        decode(KEYS[0], field(5, canonical_json(document | {"signatures": {"ci": signature}})), VERIFY)


@pytest.mark.parametrize("text", ["", "ci", "ci:", "ci:AAAA", "ci:" + "A" * 43, "a b:" + "A" * 43 + "=", "ci:é"])
def test_a_key_that_is_none_is_bad_input(text):
    with pytest.raises(BadInput, match="NAME:BASE64"):
        public_key(text)

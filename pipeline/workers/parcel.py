"""The two messages between an executor and a worker, as JSON: neither unpickles a type of the other's version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pipeline.engine.action import Call
from pipeline.language.problem import KeyPath, SpecWarning
from pipeline.model.digest import Digest

NONE, STAGE, WORKER = "", "stage", "worker"
"""Kinds of failure: none; of the stage, wherever it runs (BadInput); any other, which may be due to the worker."""


class Parcel(NamedTuple):
    """A call for a worker. label: that of the sender. blobs: all that the inputs need, digest -> size in bytes."""

    label: str
    call: Call
    blobs: Mapping[Digest, int]

    def dump(self) -> bytes:
        call = self.call._replace(params=b"")._asdict() | {"params": self.call.params.decode()}
        return json.dumps({"label": self.label, "call": call, "blobs": self.blobs}).encode()

    @classmethod
    def load(cls, data: bytes) -> Parcel:
        document = json.loads(data)
        fields = document["call"]
        call = Call(**fields)._replace(
            params=fields["params"].encode(), inputs=tuple(map(Digest.parse, fields["inputs"]))
        )
        return cls(document["label"], call, _sizes(document["blobs"]))


class Outcome(NamedTuple):
    """A worker's answer.

    worker: its address. result: digest, unless there is a failure. blobs: all that the result needs, digest -> size in
    bytes. seconds: that the stage took. failure: one of the kinds above, described by `text`.
    """

    worker: str
    result: Digest | None = None
    blobs: Mapping[Digest, int] = {}
    seconds: float = 0.0
    warnings: tuple[SpecWarning, ...] = ()
    failure: str = NONE
    text: str = ""

    def dump(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @classmethod
    def load(cls, unsafe_data: bytes) -> Outcome:
        """ValueError, TypeError or KeyError if it is not the outcome of a worker."""
        document = json.loads(unsafe_data)
        result = document["result"] and Digest.parse(document["result"])
        warnings = tuple(SpecWarning(_path(path), message, hint) for path, message, hint in document["warnings"])
        return cls(**document | {"result": result, "blobs": _sizes(document["blobs"]), "warnings": warnings})


def _sizes(document: Mapping[str, Any]) -> dict[Digest, int]:
    return {Digest.parse(blob): int(size) for blob, size in document.items()}


def _path(values: Iterable[Any]) -> KeyPath:
    return tuple(values)

"""A client of SPDY/3.1 as kubectl speaks it, for exec, attach and port-forward of a container runtime.

Source: SPDY Protocol - Draft 3.1 (section 2.2, framing; 2.6.10, name/value block); Kubernetes' remotecommand v4 and
portforward.k8s.io, which name each stream by its headers.
"""

from __future__ import annotations

import json
import socket
import struct
import zlib
from threading import Thread
from urllib.parse import urlsplit

from tests import patience

SECONDS = 60
"""Longest wait for a frame, in seconds of a quiet host."""
CONTROL, VERSION = 1 << 31, 3
SYN_STREAM, RST_STREAM, PING, GOAWAY = 1, 3, 6, 7
FIN = 1
"""The flag of a stream's last frame."""
FRAME = 1 << 15
"""Bytes of data in a frame of ours."""
HEAD = 8
"""Bytes of a frame's head."""


class Streams:
    """A connection with named streams. `received` has what arrived, by name; `ended` has the names of ended streams."""

    def __init__(self, url: str, port: int, protocol: str) -> None:
        """Asks for `url` at this port of loopback and switches to SPDY. AssertionError if the server does not."""
        parts = urlsplit(url)
        self._socket = socket.create_connection(("127.0.0.1", port), patience.seconds(SECONDS))
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
        lines += ["Content-Length: 0", f"X-Stream-Protocol-Version: {protocol}", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self._socket.recv(4096)
            assert data, answer
            answer += data
        head, _, self._pending = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), answer
        self._compressor = zlib.compressobj()  # of all blocks; the dictionary is optional
        self._names: dict[int, str] = {}
        self.received: dict[str, bytes] = {}
        self.ended: set[str] = set()

    def open(self, name: str, **headers: str) -> int:
        """Opens a stream whose headers are these (SYN_STREAM), and returns its number."""
        number = 2 * len(self._names) + 1
        block = struct.pack(">I", len(headers))
        for key, value in headers.items():
            block += b"".join(struct.pack(">I", len(word)) + word.encode() for word in (key, value))
        packed = self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        self._send_control(SYN_STREAM, struct.pack(">IIH", number, 0, 0) + packed)
        self._names[number], self.received[name] = name, b""
        return number

    def send(self, number: int, data: bytes = b"", end: bool = False) -> None:
        """Sends data on a stream; `end` closes our half of it."""
        for start in range(0, len(data) - FRAME, FRAME):
            self._socket.sendall(struct.pack(">II", number, FRAME) + data[start : start + FRAME])
        rest = data[(len(data) - 1) // FRAME * FRAME :] if data else b""
        self._socket.sendall(struct.pack(">II", number, (FIN if end else 0) << 24 | len(rest)) + rest)

    def wait_for(self, *names: str, text: bytes = b"") -> None:
        """Reads until `text` has arrived on the stream, or else until all streams of these names have ended."""
        while not self.ended.issuperset(names) and not (text and text in self.received[names[0]]):
            if not self._read_frame():
                self.ended.update(self.received)

    def close(self) -> None:
        self._socket.close()

    def _read_frame(self) -> bool:
        """Takes one frame. Returns False at the connection's end."""
        head = self._read(HEAD)
        if len(head) < HEAD:
            return False
        first, second = struct.unpack(">II", head)
        data, final = self._read(second & 0xFFFFFF), second >> 24 & FIN
        if not first & CONTROL:
            self.received[self._names[first]] += data
        kind = first & 0xFFFF if first & CONTROL else 0
        if kind == PING:
            self._send_control(PING, data)
        if kind == RST_STREAM or final:
            number = struct.unpack(">I", data[:4])[0] if kind else first
            self.ended.add(self._names[number & ~CONTROL])
        return kind != GOAWAY

    def _read(self, size: int) -> bytes:
        while len(self._pending) < size and (data := self._socket.recv(65536)):
            self._pending += data
        result, self._pending = self._pending[:size], self._pending[size:]
        return result

    def _send_control(self, kind: int, data: bytes) -> None:
        self._socket.sendall(struct.pack(">II", CONTROL | VERSION << 16 | kind, len(data)) + data)


def command(url: str, port: int, stdin: bytes | None = None, tty: bool = False, size: str = "") -> dict[str, bytes]:
    """The streams of an exec or attach after its end. stdin: is sent, then closed. size: `80x24`, of the terminal.

    `error` is a Status object of Kubernetes, in JSON.
    """
    streams = Streams(url, port, "v4.channel.k8s.io")
    streams.open("error", streamtype="error")
    numbers = {name: streams.open(name, streamtype=name) for name in ["stdin"] if stdin is not None}
    outputs = ["stdout"] if tty else ["stdout", "stderr"]
    for name in outputs:
        streams.open(name, streamtype=name)
    if size:
        width, _, height = size.partition("x")
        resize = streams.open("resize", streamtype="resize")
        streams.send(resize, json.dumps({"Width": int(width), "Height": int(height)}).encode())
    if stdin is not None:
        sender = Thread(target=streams.send, args=(numbers["stdin"], stdin, not tty))
        sender.start()  # the other side may send back while we send
    streams.wait_for("error", *outputs)
    streams.close()
    return streams.received


def forward(url: str, port: int, to: int, data: bytes, request: int = 0) -> bytes:
    """Sends `data` to the port `to` of a pod, and returns what comes back until its end."""
    streams = Streams(url, port, "portforward.k8s.io")
    headers = {"port": str(to), "requestid": str(request)}
    streams.send(streams.open("error", streamtype="error", **headers), end=True)
    number = streams.open("data", streamtype="data", **headers)
    streams.send(number, data)
    streams.wait_for("data")
    streams.close()
    assert streams.received["error"] == b"", streams.received["error"]
    return streams.received["data"]

"""The capabilities are those of the kernel, by number."""

import re
from pathlib import Path

import pytest

from pipeline.container.capabilities import CAPABILITIES

HEADER = Path("/usr/include/linux/capability.h")


def test_each_has_its_number_of_linux():
    assert len(CAPABILITIES) == 41
    numbers = {"CAP_CHOWN": 0, "CAP_SETPCAP": 8, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_BPF": 39}
    assert {name: CAPABILITIES.index(name) for name in numbers} == numbers


@pytest.mark.skipif(not HEADER.exists(), reason="linux-libc-dev is not installed")
def test_the_kernel_s_header_has_the_same():
    defined = re.findall(r"^#define (CAP_\w+)\s+(\d+)$", HEADER.read_text(), re.MULTILINE)
    names = [name for _, name in sorted((int(number), name) for name, number in defined)]
    assert names[: len(CAPABILITIES)] == [*CAPABILITIES]

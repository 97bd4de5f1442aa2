"""The judge can be used where nothing is played: it loads no network stack, container engine or proxy."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
import mta_sts_lab.judge
print(*sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))
"""


def test_the_judge_loads_neither_aiohttp_nor_docker_nor_mitmproxy() -> None:
    heavy = ("aiohttp", "aiosmtpd", "asyncio", "cryptography", "dns", "dnslib", "docker", "mitmproxy", "trustme")
    slow = ("email", "socket")  # a tenth of what it takes to load the judge
    loaded = subprocess.run(
        [sys.executable, "-c", _CODE, *heavy, *slow], check=True, capture_output=True, text=True, timeout=60
    )
    assert loaded.stdout.split() == []

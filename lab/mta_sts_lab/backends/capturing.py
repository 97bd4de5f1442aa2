"""Captures the packets of a run, where the world has a network namespace of its own, and the secrets of its TLS."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.world import capture
from mta_sts_lab.world.pki import Authority

#: The files of a capture: the packets, and the secrets of the TLS sessions as in SSLKEYLOGFILE.
PACKETS, KEY_LOG = "capture.pcapng", "tls-secrets.txt"


@contextlib.asynccontextmanager
async def capturing(folder: Path | None, authority: Authority) -> AsyncIterator[None]:
    """Write every packet of this network namespace, and the secrets of its TLS sessions, into a folder.

    None: do nothing. Raises `BackendError` if that is not allowed here.
    """
    if folder is None:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", capture.__name__, str(folder / PACKETS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if (said := await process.stdout.readline()) != b"ready\n":
            raise BackendError(said.decode().strip() or "the process that captures packets did not start")
        (folder / KEY_LOG).touch()
        authority.key_log = folder / KEY_LOG
        yield
    finally:
        authority.key_log = None
        process.stdin.close()
        await asyncio.shield(process.wait())

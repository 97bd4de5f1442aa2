#!/usr/bin/env python3
"""Tells Postfix where mail for behind.<domain> goes: to <domain>, as to a smart host. All other mail has no such route.

    smart_host.py 127.0.0.1 8470

Answers lookups of Postfix's socketmap tables (socketmap_table(5)): a netstring with the name of a map, a space and an
address. A table of Postfix's own cannot do it: it allows no part of what was looked up in a route.
"""

import asyncio
import re
import sys

BEHIND = re.compile(rb"\S+ \S*@behind\.(?P<domain>\S+)")
#: Octets of a request, at most. An address has 320.
LONGEST = 1000


def answered(request: bytes) -> bytes:
    """Return the answer to `route somebody@behind.example.org`."""
    found = BEHIND.fullmatch(request)
    return b"OK smtp:" + found["domain"] if found else b"NOTFOUND "


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the lookups of one connection until it ends, or until what comes is no netstring."""
    try:
        while True:
            length = int((await reader.readuntil(b":"))[:-1])
            if length > LONGEST:
                break
            request = (await reader.readexactly(length + 1))[:-1]
            answer = answered(request)
            writer.write(b"%d:%s," % (len(answer), answer))
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_server(talk, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

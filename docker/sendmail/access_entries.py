#!/usr/bin/env python3
"""Print the entries of sendmail's access table for a network whose mail is relayed.

    access_entries.py 198.18.160.0/20

The table knows networks by their first numbers only (198.18.160), so a network that ends elsewhere takes several
entries. Debian's settings make strangers wait for their greeting and count their connections; its own comments tell
how to except one's own network, and so it is done here.
"""

import ipaddress
import sys
from collections.abc import Iterator

RIGHTS = (("Connect", "RELAY"), ("GreetPause", "0"), ("ClientRate", "0"), ("ClientConn", "0"))


def beginnings(network: ipaddress.IPv4Network) -> Iterator[str]:
    """Return the first numbers of the addresses of a network: 198.18.160, 198.18.161 ..."""
    length = -(-network.prefixlen // 8) * 8
    for part in network.subnets(new_prefix=max(length, 8)):
        yield ".".join(str(part.network_address).split(".")[: max(length, 8) // 8])


def main() -> None:
    """Print the entries for the network on the command line."""
    for beginning in beginnings(ipaddress.IPv4Network(sys.argv[1])):
        for tag, right in RIGHTS:
            print(f"{tag}:{beginning}\t{right}")


if __name__ == "__main__":
    main()

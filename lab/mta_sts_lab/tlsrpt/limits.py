"""How much of a report is looked at. Whatever is sent in may be hostile (RFC 8460, section 7).

RFC 8460 names no bounds. The largest report of the lab's own runs, on 84 domains, has 60 KiB of JSON; the bounds leave
two orders of magnitude above that, and reading ends within seconds and within a few hundred MiB.
"""

from __future__ import annotations

#: Octets of a file or of a message, and of what it unpacks to.
LARGEST_INPUT = 16 << 20
LARGEST_TEXT = 16 << 20

#: Octets of a mailbox or an archive, and of what it unpacks to in all.
LARGEST_FILE = 256 << 20

#: Archives, mailboxes and forwarded mail inside one another, and reports and messages in one file.
DEEPEST_FILE = 8
MOST_PIECES = 20_000

#: Files of one call, and seconds of processor time that it may take.
MOST_FILES = 100_000
LONGEST_CALL = 600.0

#: Unpacked octets for each packed one. Reports pack 5 to 20 times, a bomb 1000 times.
HIGHEST_RATIO = 200

#: Unpacked octets from which on the ratio counts: a few kilobytes of equal entries pack very well.
RATIO_MATTERS_ABOVE = 1 << 20

#: Members of a gzip file. One is the rule; tools that append write one for each piece.
MOST_GZIP_MEMBERS = 100

#: Levels of JSON. A report needs six.
DEEPEST_JSON = 32

#: Values of any kind in the JSON text, and entries of the two lists that grow with the mail.
MOST_VALUES = 200_000
MOST_POLICIES = 5_000
MOST_FAILURES = 10_000

#: Levels and number of MIME parts. A report has two levels and two parts; forwarding adds one of each.
DEEPEST_MIME = 8
MOST_PARTS = 64

#: Octets and number of header fields in one header section.
LARGEST_HEADER = 256 << 10
MOST_FIELDS = 500

#: Pieces of base64 that each end in their own padding.
MOST_BASE64_PIECES = 1_000

#: Departures that are noted while reading; the rest of them would say the same again.
MOST_NOTED = 1_000

#: Signatures on one message that are verified, and octets of a signature field: 4096-bit keys and long h= lists stay
#: below a quarter of it.
MOST_SIGNATURES = 5
LONGEST_SIGNATURE = 8 << 10


class BeyondLimit(Exception):
    """The input is larger, deeper or more of something than is looked at: the message says which bound and how much."""

"""The data of the lab's records, from their text to what stands on the wire."""

from __future__ import annotations

import dns.rdata
import dnslib

from mta_sts_lab.world.zone import Record

#: The types of what DNSSEC adds to answers (RFC 4034).
OF_DNSSEC = ("RRSIG", "NSEC")

#: One string of a TXT record holds at most so many octets (RFC 1035, section 3.3).
_LONGEST_STRING = 255


def as_answered(record: Record) -> str:
    """Return what a record is in an answer, in dnslib's way to write it."""
    return str(resource_data(record))


def wire_data(record: Record) -> bytes:
    """Return a record's data as on the wire, without compressed names."""
    buffer = dnslib.DNSBuffer()
    resource_data(record).pack(buffer)
    return bytes(buffer.data)


def resource_data(record: Record) -> dnslib.RD:
    """Turn a record's text into dnslib's form of it. Raises `ValueError` for a type that the lab does not publish."""
    words = record.data.split()
    match record.type:
        case "A":
            return dnslib.A(record.data)
        case "AAAA":
            return dnslib.AAAA(record.data)
        case "MX":
            return dnslib.MX(words[1] if len(words) > 1 else ".", int(words[0]))
        case "CNAME":
            return dnslib.CNAME(record.data)
        case "TXT":
            octets = record.data.encode()
            length = record.string_length or _LONGEST_STRING
            pieces = [octets[at : at + length] for at in range(0, len(octets), length)]
            return dnslib.TXT(pieces or [b""])
        case "TLSA":
            usage, selector, matching = map(int, words[:3])
            return dnslib.TLSA(usage, selector, matching, bytes.fromhex("".join(words[3:])))
        case "SOA":
            return dnslib.SOA(words[0], words[1], tuple(map(int, words[2:])))
        case "DNSKEY" | "DS" | "NSEC" | "RRSIG" as kind:
            return dnslib.RD(dns.rdata.from_text("IN", kind, record.data).to_wire())
    raise ValueError(f"the lab publishes no records of type {record.type}")

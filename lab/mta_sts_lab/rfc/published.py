"""What the world of a scenario publishes, as text: the policy and its id, and the places for reports. Pure.

Every case has a path at the lab's report host and a mail domain below it, named for the case's own domain, so that the
address of a report alone says which case it belongs to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from mta_sts_lab.model.world import Policy, Reports, World
from mta_sts_lab.rfc.domain_names import absolute, canonical
from mta_sts_lab.rfc.txt_records import report_record

#: The lab's own names.
LAB_DOMAIN = "lab.example"
REPORT_HOST = f"reports.{LAB_DOMAIN}"

#: Takes the mail of every mail domain below the report host.
REPORT_MX = f"mx.{REPORT_HOST}"

#: The local part of the mailbox for reports, at the lab and at a case's own domain.
MAILBOX = "tls-reports"

#: In front of a case's domain: the domain without a policy that has the same MX hosts; see `model.case.Message.beside`.
BESIDE = "beside"

#: In front of a case's domain: the domain whose mail is relayed to it as a smart host; see `model.case.Message.to`.
BEHIND = "behind"

_PATH = "/v1/"
_PLACE = re.compile(r"\{(\w*)\}")


def policy_id(policy: Policy, domain: str) -> str:
    """Return the id that the domain's TXT record gives its policy: 16 letters and digits (RFC 8461, section 3.1).

    It depends on the policy's revision alone, so that a body can change behind an unchanged id.
    """
    return hashlib.sha256(f"{domain} {policy.revision}".encode()).hexdigest()[:16]


def policy_body(policy: Policy, mode: str, mx_patterns: Sequence[str]) -> bytes:
    """Return the policy's text with CRLF line ends (RFC 8461, section 3.2). The patterns are absolute."""
    lines = policy.lines or ("version: STSv1", "mode: {mode}", "mx: {mx}", "max_age: {max_age}")
    filled: list[str] = []
    for line in lines:
        known = line.replace("{mode}", mode).replace("{max_age}", str(policy.max_age))
        filled += [known.replace("{mx}", pattern) for pattern in mx_patterns] if "{mx}" in known else [known]
    body = ("\r\n".join(filled) + ("\r\n" if policy.last_line_end else "")).encode()
    return body + _padding(policy.padded_to - len(body))


#: A line with a field that nobody knows (RFC 8461, section 3.2: policy extensions), and the shortest one.
PADDING_LINE = b"note: " + b"x" * 56 + b"\r\n"
_SHORTEST_LINE = len(b"note: x\r\n")


def _padding(octets: int) -> bytes:
    """Return lines of this many octets together with a field that nobody knows; none if it is not positive."""
    if octets < _SHORTEST_LINE:
        return b""
    whole, rest = divmod(octets - _SHORTEST_LINE, len(PADDING_LINE))
    return PADDING_LINE * whole + b"note: " + b"x" * (rest + 1) + b"\r\n"


def served_policy(world: World, mode: str, domain: str) -> bytes:
    """Return the policy that a domain serves in a world; `mode` is the case's, unless the world has another one."""
    patterns = world.policy.mx or tuple(mx.name for mx in world.mx)
    return policy_body(world.policy, world.policy.mode or mode, [absolute(pattern, domain) for pattern in patterns])


@dataclass(frozen=True, slots=True)
class ReportPlaces:
    """The places for reports about one domain."""

    domain: str
    #: Whether the report host has a name of the case's own, because it shows a certificate of the case's own.
    own_host: bool = False

    @property
    def label(self) -> str:
        """What the domain's places have in their names."""
        return self.domain.partition(".")[0]

    @property
    def mail_domain(self) -> str:
        """The domain of the mailbox at the lab."""
        return f"{self.label}.{REPORT_HOST}"

    @property
    def https(self) -> str:
        """The URI to post to."""
        return f"https://{self.mail_domain if self.own_host else REPORT_HOST}{_PATH}{self.label}"

    @property
    def own_mailbox(self) -> str:
        """The mailbox at the domain itself."""
        return f"{MAILBOX}@{self.domain}"

    def fill_in(self, record: str) -> str:
        """Return a record of a scenario with its places filled in; other words in braces stay."""
        places = {
            "https": self.https,
            "mailto": f"mailto:{MAILBOX}@{self.mail_domain}",
            "own": f"mailto:{self.own_mailbox}",
            "report_domain": self.mail_domain,
        }
        return _PLACE.sub(lambda found: places.get(found[1], found[0]), record)


def places_for(domain: str, reports: Reports) -> ReportPlaces:
    """Return the places for reports about a domain under a step's settings."""
    return ReportPlaces(domain, own_host=reports.certificate != "valid")


def wanted_places(domain: str, reports: Reports) -> tuple[str, ...]:
    """Return the places that a domain's usable URIs name, in their order, as `place_of` returns them.

    Empty where a reporter has to take it that the domain wants no reports.
    """
    places = places_for(domain, reports)
    record = report_record([places.fill_in(text).encode() for text in reports.records])
    return tuple(dict.fromkeys(place_of(uri) for uri in record.usable))


def place_of(uri: str) -> str:
    """Return the place that a URI means, so that equal places are equal: a mailbox, or a URL without its encoding.

    A mailbox is what stands before any header fields (RFC 6068, section 2). What is no URL after all is returned as is.
    """
    if uri.lower().startswith("mailto:"):
        mailbox = unquote(uri[len("mailto:") :].partition("?")[0])
        local_part, _, domain = mailbox.rpartition("@")
        return f"{local_part}@{canonical(domain)}"
    try:
        parts = urlsplit(uri)
    except ValueError:
        # A bracket without its partner, no address in between, or letters that another form turns into delimiters.
        return uri
    query = f"?{parts.query}" if parts.query else ""
    return f"https://{canonical(parts.netloc)}{unquote(parts.path)}{query}"


def posted_name(host: str, path: str) -> str:
    """Return a name below which the zone knows the case that a posted report is for; empty if there is none."""
    if canonical(host) != REPORT_HOST:
        return canonical(host)
    label = path.removeprefix(_PATH).partition("/")[0] if path.startswith(_PATH) else ""
    return f"{label.lower()}.{REPORT_HOST}" if label else ""

"""Where a case's reports may go: the URIs that its domain publishes, and the names behind them. Pure.

Every case has a path at the report host and a mail domain below it, named for the case's own domain: so a report says
by its mere address whose it is, whatever is written in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from mta_sts_lab.model import Reports
from mta_sts_lab.world.zone import Record, canonical

#: The lab's own names.
LAB_DOMAIN = "lab.example"

REPORT_HOST = f"reports.{LAB_DOMAIN}"

#: Takes the mail of every mail domain below the report host.
REPORT_MX = f"mx.{REPORT_HOST}"

#: The mailbox for reports, at the lab and at a case's own domain.
MAILBOX = "tls-reports"

_PATH = "/v1/"
_WORD = re.compile(r"\{(\w*)\}")


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
        host = self.mail_domain if self.own_host else REPORT_HOST
        return f"https://{host}{_PATH}{self.label}"

    @property
    def own_mailbox(self) -> str:
        """The mailbox at the domain itself."""
        return f"{MAILBOX}@{self.domain}"

    def fill_in(self, record: str) -> str:
        """Return a record of a scenario with its places filled in; words that are none stay."""
        words = {
            "https": self.https,
            "mailto": f"mailto:{MAILBOX}@{self.mail_domain}",
            "own": f"mailto:{self.own_mailbox}",
            "report_domain": self.mail_domain,
        }
        return _WORD.sub(lambda found: words.get(found[1], found[0]), record)


def places_for(domain: str, reports: Reports) -> ReportPlaces:
    """Return the places for reports about a domain under a step's settings."""
    return ReportPlaces(domain, own_host=reports.certificate != "valid")


def report_records(domain: str, reports: Reports, mx_hosts: Sequence[str] = ()) -> Iterator[Record]:
    """Return what the domain itself publishes about reports, at its own name and at those of its MX hosts."""
    places, name = places_for(domain, reports), f"_smtp._tls.{domain}"
    if reports.alias:
        alias, name = name, f"tls-reporting.{domain}"
        yield Record(alias, "CNAME", name)
    for text in reports.records:
        yield Record(name, "TXT", places.fill_in(text), string_length=reports.string_length)
    for host in mx_hosts:
        for text in reports.at_mx:
            yield Record(f"_smtp._tls.{host}", "TXT", places.fill_in(text))


def place_records(places: ReportPlaces, address: str) -> tuple[Record, ...]:
    """Return what the mail domain of the places publishes.

    It wants reports itself: whoever counts the sessions in which it mailed reports (RFC 8460, section 3) is found out.
    """
    name = places.mail_domain
    return (
        Record(name, "A", address),
        Record(name, "MX", f"10 {REPORT_MX}"),
        Record(f"_smtp._tls.{name}", "TXT", f"v=TLSRPTv1; rua=https://{REPORT_HOST}{_PATH}{places.label}"),
    )


def name_of_case(host: str, path: str) -> str:
    """Return a name below which the zone knows the case that a posted report is for; empty if there is none."""
    if canonical(host) != REPORT_HOST:
        return canonical(host)
    label = path.removeprefix(_PATH).partition("/")[0] if path.startswith(_PATH) else ""
    return f"{label.lower()}.{REPORT_HOST}" if label else ""


def wanted_places(domain: str, reports: Reports) -> tuple[str, ...]:
    """Return the places that a record's usable URIs name, in their order, as `place_of` returns them.

    Empty where the domain has to be taken not to want reports (RFC 8460, section 3): no record or several, no `rua`, or
    no scheme that is supported.
    """
    places = places_for(domain, reports)
    records = [places.fill_in(text) for text in reports.records]
    valid = [record for record in records if record.startswith("v=TLSRPTv1;")]
    if len(valid) != 1:
        return ()
    fields = (field.strip(" \t").partition("=") for field in valid[0].split(";")[1:])
    values = next((value for name, equals, value in fields if equals and name.strip(" \t") == "rua"), "")
    uris = (uri.strip(" \t") for uri in values.split(","))
    return tuple(dict.fromkeys(place_of(uri) for uri in uris if uri.lower().startswith(("https:", "mailto:"))))


def place_of(uri: str) -> str:
    """Return the place that a URI means, so that equal places are equal: a mailbox, or a URL without its encoding.

    A mailbox is what stands before any header fields (RFC 6068, section 2). What only looks like a URL is itself.
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

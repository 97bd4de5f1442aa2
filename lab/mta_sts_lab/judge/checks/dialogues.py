"""How the target asks: the form of its policy requests, and of its dialogue around STARTTLS. Watched in every case.

Only what is on record is judged. What a sender puts behind STARTTLS in the same batch is not: it never becomes a line.
A sender that names another server in the handshake with the policy host gets no certificate there, and no policy: no
run against it begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mta_sts_lab.events import ClientHelloSeen, ConnectionAccepted, Event, PolicyRequested, SmtpSaid, TlsEstablished
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.rfc.domain_names import POLICY_PATH, is_address, without_brackets

REQUEST_FORM = "STS-3.2-01"
CONDITIONAL = "STS-3.3-10"
STARTTLS_ARGUMENT = "STLS-4-01"
DROPPED_WITHOUT_TLS = "STLS-4-04"
HANDSHAKE_FIRST = "STLS-4-03"
SERVER_NAME = "STS-7.1-01"
NOTHING_BEHIND_STARTTLS = "STLS-4-05"
SERVER_NAME_FORM = "SNI-3-02"
NO_ADDRESS_AS_SERVER_NAME = "SNI-3-03"
ONE_SERVER_NAME = "SNI-3-01"
SAME_SERVER_NAME = "SNI-3-04"
NO_OLDER_VERSION = "BCP-3.1.3-01"
ENCRYPTS = "BCP-4.1-01"

#: The oldest version of TLS to which a client may fall back.
_OLDEST_VERSION = "1.2"

#: What stands in the name of a cipher suite that encrypts nothing, uses RC4, or has less than 112 bits.
_WEAK = ("NULL", "RC4", "EXP", "DES-CBC-", "RC2")
EHLO_INSIDE_TLS = "STLS-4.2-02"
STARTTLS_INSIDE_TLS = "STLS-4.2-03"


@check(scope=Scope.CASE, obligations=(REQUEST_FORM, CONDITIONAL))
def policy_request_form(view: CaseView) -> Iterator[Judgement]:
    """GET for the well-known path, and never "only if it changed" (RFC 8461, sections 3.2 and 3.3).

    A request for the target of a redirect is judged as that (`no_redirect_was_followed`).
    """
    asked = [(event, fact) for event, fact in view.facts.of_kind(PolicyRequested) if not fact.redirected]
    odd = [(event, fact) for event, fact in asked if (fact.method, fact.path) != ("GET", POLICY_PATH)]
    if odd:
        said = f'"{odd[0][1].method} {odd[0][1].path}"'
        yield _broken(view, REQUEST_FORM, "odd-policy-request", f'"GET {POLICY_PATH}"', said, odd)
    conditional = [(event, fact) for event, fact in asked if fact.conditional]
    if conditional:
        expected, said = "a request without conditions", "a request with a condition (If-None-Match or the like)"
        yield _broken(view, CONDITIONAL, "conditional-request", expected, said, conditional)


@check(scope=Scope.CASE, obligations=(STARTTLS_ARGUMENT, EHLO_INSIDE_TLS, STARTTLS_INSIDE_TLS))
def starttls_dialogue(view: CaseView) -> Iterator[Judgement]:
    """RFC 3207, sections 4 and 4.2: STARTTLS alone on its line, once, and a new beginning with EHLO inside TLS."""
    lines = _said_by_the_target(view)
    said = [(event, fact) for event, fact in lines if fact.line.upper().startswith("STARTTLS")]
    argued = [(event, fact) for event, fact in said if not fact.secured and fact.line.strip().upper() != "STARTTLS"]
    if argued:
        expected, line = '"STARTTLS" alone on its line', _quoted(argued)
        yield _broken(view, STARTTLS_ARGUMENT, "starttls-with-argument", expected, line, argued)
    again = [(event, fact) for event, fact in said if fact.secured]
    if again:
        expected, line = "no STARTTLS inside TLS", _quoted(again)
        yield _broken(view, STARTTLS_INSIDE_TLS, "starttls-inside-tls", expected, line, again)
    openings: dict[str, tuple[Event, SmtpSaid]] = {}
    for event, fact in lines:
        if fact.secured:
            openings.setdefault(fact.session, (event, fact))
    # Who is not content with the handshake may leave at once (section 4.1).
    odd = [one for one in openings.values() if not one[1].line.upper().startswith(("EHLO", "QUIT"))]
    if odd:
        expected, line = "EHLO first inside TLS", _quoted(odd)
        yield _broken(view, EHLO_INSIDE_TLS, "no-ehlo-inside-tls", expected, line, odd)


@check(scope=Scope.CASE, obligations=(DROPPED_WITHOUT_TLS, HANDSHAKE_FIRST))
def connection_dropped_without_handshake(view: CaseView) -> Iterator[Judgement]:
    """RFC 3207, section 4: behind the 220 comes the handshake, and a client that cannot have it drops the connection.

    It may say QUIT first. What it says otherwise breaks the one row before a client hello, and the other one behind it.
    """
    hellos: dict[str, int] = {}
    for event, fact in view.facts.of_kind(ClientHelloSeen):
        hellos.setdefault(fact.session, event.number)
    said = _said_without_handshake(view)
    behind = [one for one in said if hellos.get(one[1].session, one[0].number) < one[0].number]
    if behind:
        expected = "a connection that is dropped when no TLS comes of STARTTLS"
        yield _broken(view, DROPPED_WITHOUT_TLS, "went-on-without-tls", expected, _quoted(behind), behind)
    before = [one for one in said if one not in behind]
    # What an attacker hears behind the 220 may have been sent before it by a client that pipelines.
    if before and not _said_behind_starttls(view):
        expected = "a handshake as soon as STARTTLS is answered with 220"
        yield _broken(view, HANDSHAKE_FIRST, "command-before-handshake", expected, _quoted(before), before)


def _said_without_handshake(view: CaseView) -> list[tuple[Event, SmtpSaid]]:
    """Return what the target said in clear behind the 220 that answered STARTTLS."""
    went_on = []
    targets = {fact.session for _, fact in _said_by_the_target(view)}
    asked: set[str] = set()
    allowed: set[str] = set()
    for event, fact in view.facts.of_kind(SmtpSaid):
        if fact.session not in targets or fact.secured:
            continue
        if fact.speaker != "sender":
            allowed |= {fact.session} & asked if fact.line.startswith("220") else set()
            asked.discard(fact.session)
        elif fact.session in allowed and not fact.line.upper().startswith("QUIT"):
            went_on.append((event, fact))
        elif fact.line.upper().startswith("STARTTLS"):
            asked.add(fact.session)
    return went_on


@check(scope=Scope.CASE, obligations=(NOTHING_BEHIND_STARTTLS,))
def nothing_behind_starttls(view: CaseView) -> Iterator[Judgement]:
    """RFC 3207, section 4: a client that pipelines sends nothing behind STARTTLS until the reply is there.

    An attacker may give no reply at all, so that only what a host itself has heard is judged.
    """
    behind = _said_behind_starttls(view)
    if behind:
        expected = "nothing behind STARTTLS before its reply"
        yield _broken(view, NOTHING_BEHIND_STARTTLS, "pipelined-behind-starttls", expected, _quoted(behind), behind)


def _said_behind_starttls(view: CaseView) -> list[tuple[Event, SmtpSaid]]:
    attacked = {step.name for step in view.case.steps if any(use.channel == "smtp" for use in step.attacks)}
    targets = {fact.session for _, fact in _said_by_the_target(view)}
    asked: set[str] = set()
    behind = []
    for event, fact in view.facts.of_kind(SmtpSaid):
        if event.step in attacked:
            continue
        if fact.session in targets and fact.session in asked and fact.speaker == "sender" and not fact.secured:
            behind.append((event, fact))
        asked.discard(fact.session)
        if fact.speaker == "sender" and not fact.secured and fact.line.strip().upper() == "STARTTLS":
            asked.add(fact.session)
    return behind


@check(scope=Scope.STEP, obligations=(SERVER_NAME,))
def server_name_sent(view: CaseView, step: Step) -> Iterator[Judgement]:
    """RFC 8461, section 7.1: who enforces policies names a server in the handshake; judged where a host needs it."""
    needed = any(host.sni_required for host in step.world.mx) and view.case.mode is Mode.ENFORCE
    if not needed or "mta-sts" not in view.about.capabilities:
        return
    targets = {fact.session for _, fact in _said_by_the_target(view)}
    hellos = [
        (event, fact) for event, fact in view.facts.of_kind(ClientHelloSeen, step.name) if fact.session in targets
    ]
    if hellos and not any(fact.sni for _, fact in hellos):
        expected, observed = "a server name (SNI) in the client hello", "no server name"
        yield _broken(view, SERVER_NAME, "no-server-name", expected, observed, hellos)


@check(scope=Scope.CASE, obligations=(NO_OLDER_VERSION,))
def no_older_version_after_failure(view: CaseView) -> Iterator[Judgement]:
    """RFC 9325, section 3.1.3: a handshake that failed is not tried again with a version older than TLS 1.2.

    That it is tried with TLS 1.2 after one with 1.3 is not ruled out. Judged under enforce, where TLS is a must: who
    would send in clear as well may be laxer (section 5.2).
    """
    if view.case.mode is not Mode.ENFORCE or "mta-sts" not in view.about.capabilities:
        return
    offered: dict[tuple[str, str], str] = {}
    older = []
    for event, fact in _hellos(view):
        leg = view.facts.session(fact.session)
        before = offered.setdefault((event.step, leg.host), fact.version)
        if fact.version and before and fact.version < min(before, _OLDEST_VERSION):
            older.append((event, fact))
    if older:
        expected, observed = f"no client hello below TLS {_OLDEST_VERSION}", f"one of TLS {older[0][1].version}"
        yield _broken(view, NO_OLDER_VERSION, "older-version-after-failure", expected, observed, older)


@check(scope=Scope.CASE, obligations=(ENCRYPTS,))
def cipher_suite_encrypts(view: CaseView) -> Iterator[Judgement]:
    """RFC 9325, section 4.1: no cipher suite is negotiated that encrypts nothing, or too little.

    Judged under enforce, where TLS is a must: who would send in clear as well may be laxer (section 5.2).
    """
    if view.case.mode is not Mode.ENFORCE or "mta-sts" not in view.about.capabilities:
        return
    legs = {fact.session for _, fact in _hellos(view)}
    weak = [
        (event, fact)
        for event, fact in view.facts.of_kind(TlsEstablished)
        if fact.session in legs and any(word in fact.cipher for word in _WEAK)
    ]
    if weak:
        expected, observed = "a cipher suite with 112 bits or more", weak[0][1].cipher
        yield _broken(view, ENCRYPTS, "weak-cipher-suite", expected, observed, weak)


@check(scope=Scope.CASE, obligations=(SERVER_NAME_FORM, NO_ADDRESS_AS_SERVER_NAME, ONE_SERVER_NAME))
def server_name_well_formed(view: CaseView) -> Iterator[Judgement]:
    """RFC 6066, section 3: there is one server name, in ASCII and A-labels, without a final dot, and no address."""
    hellos = _hellos(view)
    several = [one for one in hellos if one[1].more_names]
    if several:
        names = ", ".join((several[0][1].sni, *several[0][1].more_names))
        yield _broken(view, ONE_SERVER_NAME, "several-server-names", "one server name", names, several)
    literal = [one for one in hellos if _is_address(one[1].sni)]
    if literal:
        expected, observed = "no address in the place of a server name", f'"{literal[0][1].sni}"'
        yield _broken(view, NO_ADDRESS_AS_SERVER_NAME, "address-as-server-name", expected, observed, literal)
    odd = [one for one in hellos if one[1].sni.endswith(".") or not one[1].sni.isascii()]
    if odd:
        expected, observed = "a server name in ASCII, without a final dot", f'"{odd[0][1].sni}"'
        yield _broken(view, SERVER_NAME_FORM, "server-name-malformed", expected, observed, odd)


@check(scope=Scope.CASE, obligations=(SAME_SERVER_NAME,))
def resumption_names_same_server(view: CaseView) -> Iterator[Judgement]:
    """RFC 6066, section 3: who offers to resume a session with a host names the server as in that session.

    Which session a ticket belongs to cannot be seen, so that any name will do that was in an earlier one with the host.
    """
    hosts = {fact.session: fact.host for _, fact in view.facts.of_kind(ConnectionAccepted)}
    established = {fact.session for _, fact in view.facts.of_kind(TlsEstablished)}
    named: dict[str, set[str]] = {}
    for event, fact in _hellos(view):
        earlier = named.setdefault(hosts[fact.session], set())
        if fact.resumes and earlier and fact.sni not in earlier:
            expected, observed = f"the server name {_or_none(min(earlier))}", _or_none(fact.sni)
            yield _broken(view, SAME_SERVER_NAME, "resumes-under-another-name", expected, observed, [(event, fact)])
        if fact.session in established:
            earlier.add(fact.sni)


def _or_none(name: str) -> str:
    return f'"{name}"' if name else "none"


def _hellos(view: CaseView) -> list[tuple[Event, ClientHelloSeen]]:
    """Return the client hellos of the target to receiving hosts: not those of an attacker behind it."""
    met = (event.fact for event in view.facts.contacts())
    legs = {fact.session for fact in met if isinstance(fact, ConnectionAccepted)}
    return [(event, fact) for event, fact in view.facts.of_kind(ClientHelloSeen) if fact.session in legs]


def _is_address(name: str) -> bool:
    """Whether a server name is an address, bare or as a literal."""
    return is_address(without_brackets(name.strip("[].")))


def _said_by_the_target(view: CaseView) -> list[tuple[Event, SmtpSaid]]:
    """Return the target's own words: not an attacker's, who speaks in its name behind `via`."""
    met = (event.fact for event in view.facts.contacts())
    legs = {fact.session for fact in met if isinstance(fact, ConnectionAccepted)}
    return [
        (event, fact)
        for event, fact in view.facts.of_kind(SmtpSaid)
        if fact.speaker == "sender" and fact.session in legs
    ]


def _quoted(said: Sequence[tuple[Event, SmtpSaid]]) -> str:
    return f'"{said[0][1].line}"'


def _broken(
    view: CaseView,
    obligation: str,
    reason: str,
    expected: str,
    observed: str,
    found: Sequence[tuple[Event, object]],
) -> Judgement:
    events = [event for event, _ in found]
    return view.broken(obligation, reason, events[0].step, expected, observed, events)

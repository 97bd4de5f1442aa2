"""Mail to the domain beside the case's own breaks no policy of the case, unless it shares a session with the case's."""

from __future__ import annotations

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    BounceReceived,
    CaseEnded,
    ConnectionClosed,
    MessageAccepted,
    MessageInjected,
    OtherMessageInjected,
    QueueSeen,
    SmtpSaid,
    StepEnded,
)
from mta_sts_lab.judge.ground_truth import sessions_in
from mta_sts_lab.judge.report_window import Window
from mta_sts_lab.judge.verdicts import views_of
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.requirements import load_requirements

from tests.judge.stories import (
    ABSENT,
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    accepted,
    connection,
    mx_query,
    reasons,
    record,
    resisted,
    taken_in,
    token,
    verdict,
)
from tests.judge.test_reports import CLAIMS, owing

OTHER = f"<b@beside.{DOMAIN[ENFORCE]}>"
OWN = f"<b@{DOMAIN[ENFORCE]}>"


def _with_session(*recipients: str, announced: bool = True) -> Verdict:
    """Judge the case of a sender that held its message, with one more session in clear during the attack."""
    said = ["MAIL FROM:<a@sender.example>", *(f"RCPT TO:{one}" for one in recipients)]
    facts: list[AnyFact] = [
        *([OtherMessageInjected(token="other", recipient=OTHER, reply="250 ok")] if announced else []),
        mx_query(ENFORCE),
        connection(ENFORCE, "other-1"),
        *(SmtpSaid(session="other-1", speaker="sender", line=line, secured=False) for line in said),
        ConnectionClosed(session="other-1"),
    ]
    story = resisted()
    end = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], StepEnded))
    more: list[Line] = [(ENFORCE, "attack", fact) for fact in facts]
    return verdict(record([*story[: end - 1], *more, *story[end - 1 :]], taken_in()))


def test_mail_for_the_other_domain_may_go_in_clear() -> None:
    assert "envelope-in-clear" not in reasons(_with_session(OTHER))


@pytest.mark.parametrize("recipients", [(OWN,), (OTHER, OWN), (OWN, OTHER)])
def test_a_session_that_is_for_the_domain_as_well_is_judged(recipients: tuple[str, ...]) -> None:
    found = _with_session(*recipients)
    assert "envelope-in-clear" in reasons(found)
    assert found.grade is Grade.FAIL


def test_where_nothing_was_sent_to_it_there_is_no_other_domain() -> None:
    assert "envelope-in-clear" in reasons(_with_session(OTHER, announced=False))


#: Of a message to both domains: the case's own recipient, and the other one.
BOTH = (f"b@{DOMAIN[ENFORCE]}", f"b@beside.{DOMAIN[ENFORCE]}")


def _to_both(step: str, *more: AnyFact, before: type[AnyFact]) -> Verdict:
    """Judge the story of a held message that went to the other domain as well, with some more facts in one step."""
    sent = OtherMessageInjected(token=token(ENFORCE, "attack"), recipient=BOTH[1], reply="250 ok")
    story = resisted()
    begun = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], MessageInjected))
    story.insert(begun + 1, (ENFORCE, "attack", sent))
    at = next(n for n, line in enumerate(story) if line[1] == step and isinstance(line[2], before))
    return verdict(record([*story[:at], *((ENFORCE, step, fact) for fact in more), *story[at:]], taken_in()))


def _transaction(*recipients: str) -> list[AnyFact]:
    """One transaction in the session in which the held message arrives."""
    copy = msgspec.structs.replace(accepted(ENFORCE, "attack", "honest-2"), recipients=recipients)
    said = ["MAIL FROM:<a@sender.example>", *(f"RCPT TO:<{one}>" for one in recipients)]
    return [*(SmtpSaid(session="honest-2", speaker="sender", line=line, secured=True) for line in said), copy]


@pytest.mark.parametrize(
    ("recipients", "found"),
    [
        (BOTH[1:], set()),
        (BOTH, {"arrived-twice"}),
        (BOTH[:1], {"arrived-twice"}),
        (("c@another.example",), {"arrived-twice", "recipient-changed"}),
    ],
)
def test_the_copy_for_the_other_domain_is_none_of_the_cases_own(recipients: tuple[str, ...], found: set[str]) -> None:
    own = SmtpSaid(session="honest-2", speaker="sender", line=f"RCPT TO:<{BOTH[0]}>", secured=True)
    judged = _to_both("recover", *_transaction(*recipients), own, before=MessageAccepted)
    assert reasons(judged) & {"arrived-twice", "recipient-changed"} == found


@pytest.mark.parametrize(("about", "grade"), [(BOTH[1], Grade.PASS), (BOTH[0], Grade.FAIL), ("", Grade.FAIL)])
def test_a_notice_about_the_other_recipient_tells_nothing_of_the_cases_own(about: str, grade: Grade) -> None:
    notice = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.7.1", about=about)
    judged = _to_both("recover", notice, before=CaseEnded)
    assert judged.grade is grade
    assert ("failure-notice-for-a-delivered-message" in reasons(judged)) is (grade is Grade.FAIL)


#: The senders of a report, and of a message to the other domain.
OTHER_SENDERS = ("<tls@sender.example>", "<other@sender.example>")


def _cut_off(sender: str, *more: str, sent: AnyFact | None = None, case: Case = CASES[ENFORCE]) -> Verdict:
    return verdict(_with_one_cut_off(sender, *more, sent=sent, case=case))


def _with_one_cut_off(sender: str, *more: str, sent: AnyFact | None = None, case: Case = CASES[ENFORCE]) -> Record:
    """The story of a held message, with a session in clear that broke off behind its MAIL, or some lines later."""
    lines = (f"MAIL FROM:{sender}", *more)
    said = [SmtpSaid(session="cut", speaker="sender", line=line, secured=False) for line in lines]
    facts = [*([sent] if sent else []), connection(ENFORCE, "cut"), *said, ConnectionClosed(session="cut")]
    story = resisted()
    at = next(n for n, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], QueueSeen))
    made = [*story[:at], *((ENFORCE, "attack", fact) for fact in facts), *story[at:]]
    return record(made, taken_in(), cases=(case, CASES[ABSENT]), capabilities=CLAIMS)


def _sent_beside(its_token: str) -> OtherMessageInjected:
    return OtherMessageInjected(token=its_token, recipient=BOTH[1], reply="250 ok")


@pytest.mark.parametrize("sender", OTHER_SENDERS)
@pytest.mark.parametrize("expected", ["reports", "other mail"])
def test_a_session_that_broke_off_before_it_told_whose_mail_it_has_is_no_finding(sender: str, expected: str) -> None:
    sent, case = (None, owing()) if expected == "reports" else (_sent_beside("other"), CASES[ENFORCE])
    assert "envelope-in-clear" not in reasons(_cut_off(sender, sent=sent, case=case))
    for told in (f"RCPT TO:{OWN}", "DATA"):
        assert "envelope-in-clear" in reasons(_cut_off(sender, told, sent=sent, case=case))


@pytest.mark.parametrize("sender", ["<a@sender.example>", f"<SRS0=x={token(ENFORCE, 'attack')}@relay.example>"])
def test_one_that_names_the_cases_own_message_is(sender: str) -> None:
    assert "envelope-in-clear" in reasons(_cut_off(sender, case=owing()))
    assert "envelope-in-clear" in reasons(_cut_off(sender, sent=_sent_beside("other")))


def test_the_sender_of_a_message_to_both_domains_does_not_tell_which_of_them_it_is_for() -> None:
    sender = f"<{token(ENFORCE, 'attack')}@sender.example>"
    assert "envelope-in-clear" not in reasons(_cut_off(sender, sent=_sent_beside(token(ENFORCE, "attack"))))


@pytest.mark.parametrize("sender", OTHER_SENDERS)
def test_where_no_other_mail_is_expected_a_session_is_for_the_domain(sender: str) -> None:
    assert "envelope-in-clear" in reasons(_cut_off(sender))


@pytest.mark.parametrize(
    ("sender", "certain"), [*((one, False) for one in OTHER_SENDERS), ("<a@sender.example>", True)]
)
def test_nor_has_it_to_stand_in_a_report(sender: str, certain: bool) -> None:
    view = views_of(_with_one_cut_off(sender, case=owing()), load_requirements())[0]
    (cut,) = [one for one in sessions_in(view, Window(-1.0, 1e9)) if one.accepted.session == "cut"]
    assert cut.certain is certain

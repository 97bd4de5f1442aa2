"""The page holds the table and, packed, the evidence of every cell; nothing foreign in it can act."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import PurePath
from typing import Any

from mta_sts_lab import events as facts
from mta_sts_lab.events import Event
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record import Record
from mta_sts_lab.reports.matrix.evidence import MOST_LINES, MOST_LOG_LINES, Source, evidence_of
from mta_sts_lab.reports.matrix.page import BLOCK, matrix_html
from mta_sts_lab.reports.matrix.table import matrix_of
from mta_sts_lab.reports.verdicts_reading import JudgedRun

from tests.reports.matrix.judged import judged, strip_run, verdict
from tests.reports.records import HOSTILE, HOSTILE_VISIBLE, REQUIREMENTS, case_id, number_of, record_of, strip_record

LEAKING = case_id(Mode.ENFORCE)

#: What a mail server might say to whoever reads about it in a browser.
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"&--><!--{{ 7*7 }}\u2028"

LOG = "postfix/smtp[9]: Untrusted TLS connection to mx1.k7en.example\nanother line\n"


def _source(record: Record | None = None, log: str = LOG, leaking: bool = True) -> Source:
    record, run = strip_run(leaking, record)
    return Source(run, record, log, PurePath("runs/20260302-093000-c0ffee"))


def _evidence(source: Source) -> dict[str, dict[str, Any]]:
    return dict(evidence_of(source))


def _html(source: Source) -> str:
    return matrix_html(matrix_of([source.judged]), lambda _number: evidence_of(source), REQUIREMENTS)


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, and the text of its scripts and cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        else:
            self.text.append(data)

    def script(self, name: str) -> str:
        return next(text for attributes, text in self.scripts if attributes.get("id") == name)


def _unpacked(seen: Seen, name: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(seen.script(name)), -zlib.MAX_WBITS))


class TestEvidence:
    def test_it_says_what_was_expected_and_what_was_judged(self) -> None:
        told = _evidence(_source())[LEAKING]
        assert told["verdict"] == "fail"
        assert told["happened"] == "delivered in clear and read by the attacker"
        attack = next(step for step in told["steps"] if step["name"] == "attack")
        assert ["attack", "strip_starttls on smtp"] in attack["rows"]
        assert any(label == "must be" and said.startswith("deferred") for label, said in attack["rows"])
        assert ["was", "delivered-clear (in clear)"] in attack["rows"]
        (judgement,) = told["judgements"]
        assert (judgement["grade"], judgement["reason"], judgement["obligation"]) == (
            "fail",
            "read-in-clear",
            "STS-5-03",
        )
        assert told["control"] == case_id(Mode.ABSENT)

    def test_it_has_the_dialogue_and_the_attackers_hand(self) -> None:
        source = _source()
        told = _evidence(source)[LEAKING]["timeline"]
        numbers = [sum(told["number"][: place + 1]) for place in range(len(told["number"]))]
        removed = told["struck"].index("250-STARTTLS")
        assert told["emphasis"][removed] == "attack"
        assert told["text"][removed] == ""
        read = numbers.index(number_of(source.record, LEAKING, facts.TokenRead))
        assert told["emphasis"][read] == "leak"
        assert "EHLO mta.sender.example" in told["text"]
        assert sum(length for _, length in told["step"]) == len(told["text"]) == len(told["at"])
        assert [name for name, _ in told["step"]] == ["", "prime", "attack", "recover"]
        assert told["more"] == 0

    def test_it_has_the_targets_own_lines_and_how_to_play_it_again(self) -> None:
        told = _evidence(_source())
        assert told[LEAKING]["log"] == {"lines": [LOG.splitlines()[0]], "more": 0}
        assert told[case_id(Mode.NONE)]["log"]["lines"] == []
        assert told[LEAKING]["repeat"] == "sts-lab run 'starttls/strip[enforce]' --target postfix"
        assert told[LEAKING]["record"] == "runs/20260302-093000-c0ffee/record.jsonl"
        assert told[LEAKING]["flows"].endswith("/flows/starttls.strip.enforce.mitm")

    def test_the_worst_judgement_stands_first(self) -> None:
        source = _source()
        first, *others = source.judged.verdicts
        weak, passed = (replace(first.judgements[0], grade=grade) for grade in (Grade.WEAK, Grade.PASS))
        mixed = replace(first, judgements=(passed, weak, first.judgements[0]))
        source = replace(source, judged=replace(source.judged, verdicts=(mixed, *others)))
        assert [one["grade"] for one in _evidence(source)[LEAKING]["judgements"]] == ["fail", "weak", "pass"]

    def test_a_known_failure_has_its_reason(self) -> None:
        source = _source()
        source = replace(source, judged=replace(source.judged, known={LEAKING: ("it was told",)}))
        assert _evidence(source)[LEAKING]["known"] == ["it was told"]

    def test_what_a_target_repeats_without_end_is_cut_and_said(self) -> None:
        record = strip_record(leaking_enforce=True)
        last = record.events[-1]
        said = [
            Event(
                number=last.number + place,
                at=last.at,
                fact=facts.SmtpSaid(session="s", speaker="sender", line=f"NOOP {place}" + "x" * 9000, secured=False),
                case=LEAKING,
                step="attack",
            )
            for place in range(1, MOST_LINES + 100)
        ]
        told = _evidence(
            _source(record_of([*record.events, *said], record.header.cases), LOG.splitlines()[0] + "\n" * 1)
        )
        timeline = told[LEAKING]["timeline"]
        assert len(timeline["text"]) == MOST_LINES
        assert timeline["more"] > 99
        assert max(map(len, timeline["text"])) < 2100
        long = _evidence(_source(log=(LOG.splitlines()[0] + "\n") * (MOST_LOG_LINES + 5)))[LEAKING]["log"]
        assert (len(long["lines"]), long["more"]) == (MOST_LOG_LINES, 5)


class TestPage:
    def test_a_cell_a_case_with_its_letter_and_reason(self) -> None:
        html = _html(_source())
        assert re.search(
            r'title="starttls/strip\[enforce\]">strip\[enforce\]</th><td><button [^>]*class="v-fail">F<small>read-in-clear</small>',
            html,
        )
        assert html.count('class="v-pass">P</button>') == 3
        assert "postfix 3.10.2, postfix-mta-sts-resolver 1.5.0" in html

    def test_the_evidence_is_in_the_page(self) -> None:
        source = _source()
        seen = Seen(_html(source))
        cases = json.loads(seen.script("data"))["cases"]
        assert _unpacked(seen, "e0-0") == [json.loads(json.dumps(_evidence(source)[case])) for case in cases]
        assert json.loads(seen.script("data"))["obligations"]["STS-5-03"][0] == "MUST NOT, RFC 8461 section 5"

    def test_evidence_stands_where_its_row_stands(self) -> None:
        cases = [f"mx/case-{number}[enforce]" for number in range(2 * BLOCK + 3)]
        run = judged([verdict(case, Grade.PASS) for case in cases])
        missing = cases[BLOCK]

        def evidence(_number: int) -> Iterable[tuple[str, Mapping[str, Any]]]:
            return ((case, {"judgements": [], "name": case}) for case in reversed(cases) if case != missing)

        seen = Seen(matrix_html(matrix_of([run]), evidence, {}))
        for block in range(3):
            names = [told and told["name"] for told in _unpacked(seen, f"e0-{block}")]
            expected = cases[block * BLOCK : (block + 1) * BLOCK]
            assert names == [None if case == missing else case for case in expected]

    def test_nothing_is_asked_of_anybody_and_nothing_else_may_run(self) -> None:
        seen = Seen(_html(_source()))
        (policy,) = [
            a["content"]
            for tag, a in seen.elements
            if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy is not None
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for tag, source in (("style", "style-src"), ("script", "script-src")):
            attributes, text = seen.scripts[0] if tag == "style" else seen.scripts[-1]
            assert attributes == {}
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{source} 'sha256-{digest}'" in policy
        for tag, attributes in seen.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
            assert attributes.get("src") is None
            assert attributes.get("href") in (None, "data:,", "#matrix-heading"), tag
        assert "url(" not in seen.scripts[0][1]
        assert "@import" not in seen.scripts[0][1]

    def test_hostile_words_stay_words(self) -> None:
        record = strip_record(leaking_enforce=True)
        header = record.header
        hostile_case = replace(header.cases[0], id=f"starttls/{ATTACK}[enforce]", scenario="starttls/x")
        said = facts.SmtpSaid(
            session="s", speaker="mx", line=f"250 {ATTACK}{HOSTILE}", secured=False, altered=True, instead_of=ATTACK
        )
        events = [Event(number=1, at=0.1, fact=said, case=hostile_case.id, step="attack")]
        hostile = record_of(events, [hostile_case])
        run = replace(
            judged([verdict(hostile_case.id, Grade.FAIL, ATTACK)], target=ATTACK + HOSTILE, run=ATTACK),
            versions={ATTACK: ATTACK},
            known={hostile_case.id: (ATTACK,)},
            command=("sts-lab", "run", "--target", ATTACK),
        )
        source = Source(run, hostile, f"{ATTACK}\n", PurePath(ATTACK))
        html = _html(source)
        seen = Seen(html)
        ours = _source()
        plain = Seen(_html(replace(ours, judged=replace(ours.judged, command=("sts-lab", "run", "--target", "./x")))))
        assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in plain.elements}
        assert len([tag for tag, _ in seen.elements if tag == "script"]) == 3, "the data, one block, the program"
        assert seen.scripts[-1][1] == plain.scripts[-1][1]
        assert "\x1b" not in html
        assert HOSTILE_VISIBLE.split("\\r")[0] in "".join(seen.text)
        assert "</script" not in seen.script("data")
        assert json.loads(seen.script("data"))["cases"] == [hostile_case.id]
        (told,) = _unpacked(seen, "e0-0")
        assert "\x1b" not in json.dumps(told, ensure_ascii=False)
        assert told["timeline"]["text"][0].startswith("250 </script><script>"), "for a script that only ever sets text"

    def test_many_columns_begin_with_letters_only(self) -> None:
        few = [judged([verdict("mx/a[enforce]", Grade.FAIL)], f"t{number}", run=str(number)) for number in range(8)]
        many = [*few, judged([verdict("mx/a[enforce]", Grade.FAIL)], "t9", run="9")]

        def nothing(_number: int) -> Iterable[tuple[str, Mapping[str, Any]]]:
            return ()

        assert '<body class="many">' not in matrix_html(matrix_of(few), nothing, {})
        html = matrix_html(matrix_of(many), nothing, {})
        assert '<body class="many">' in html
        assert html.count("<small>fail-code</small>") == 9, "the codes are there all the same: paper shows them"

    def test_what_was_not_run_is_empty_and_said(self) -> None:
        runs: list[JudgedRun] = [
            judged([verdict("mx/a[enforce]", Grade.PASS)], "exim", run="1"),
            judged([verdict("mx/b[enforce]", Grade.PASS)], "postfix", run="2"),
        ]
        html = matrix_html(matrix_of(runs), lambda _number: (), {})
        assert html.count('class="v-none"></button>') == 2
        assert "empty: not run in that column" in html
        assert "1 case of others was not run" in html

"""`sts-lab what-if`: what was typed, and the answers. Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.families import FamilyWord
from mta_sts_lab.cli.options import Flaws, Out, Target
from mta_sts_lab.cli.output import aside, console, say_document
from mta_sts_lab.cli.telling import watched

if TYPE_CHECKING:
    from mta_sts_lab.catalogue.from_policy import Publication
    from mta_sts_lab.runs.what_if import WhatIf

EXAMPLES = """Examples:

sts-lab what-if --policy mta-sts.txt --mx mx1.example.org,mx2.example.org

sts-lab what-if --policy mta-sts.txt --mx mx1.example.org --then new.txt --target postfix
"""

PolicyFile = Annotated[str, typer.Option("--policy", metavar="FILE", help="The policy that you want to publish.")]
MxNames = Annotated[list[str], typer.Option("--mx", help="The MX hosts in DNS, separated by commas (repeatable).")]
Then = Annotated[str | None, typer.Option("--then", metavar="FILE", help="The policy that replaces it later.")]
Records = Annotated[
    list[str] | None,
    typer.Option(
        "--record", help="The TXT record of _mta-sts (repeatable).", show_default="the right one, with a new id"
    ),
]
ThenRecords = Annotated[
    list[str] | None,
    typer.Option(
        "--then-record",
        help="The TXT record beside --then (repeatable).",
        show_default="with a new id; if --record is given, as that: then no sender notices the update",
    ),
]

#: The heading over the answers to each question, and what to add where the mail waits.
_HEADINGS = {
    "publish": "If you publish this policy",
    "update": "If you replace it by the new one (of senders that know the old one)",
    "attack": "If somebody attacks (of senders that have fetched the policy)",
}

#: The last heading where no sender can have it.
_NOBODY_HAS_IT = "If somebody attacks (no sender can use the policy)"


def what_if(
    policy: PolicyFile,
    mx: MxNames,
    then: Then = None,
    record: Records = None,
    then_record: ThenRecords = None,
    target: Target = "reference",
    family: FamilyWord = "",
    out: Out = Path("runs"),
    seed: Annotated[int | None, typer.Option("--seed", help="Repeat the random names of an earlier run.")] = None,
    flaw: Flaws = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON, and nothing else.")] = False,
) -> None:
    """Play what becomes of mail if you publish a policy.

    Mail is sent to each MX host as if it alone answered, without and after an update, and under attacks on all of them.
    The hosts have valid certificates here: `sts-lab policy-check` looks at those that you have. Nothing is looked up.

    Exit status: 0 senders can use the policy, and mail is delivered to every host, 1 they cannot, mail waits
    somewhere, or the mail server is wrong, 2 usage, 3 lab error, 4 nothing is proved.
    """
    from mta_sts_lab.rfc.domain_names import a_labels
    from mta_sts_lab.runs import RunRequest
    from mta_sts_lab.runs.policy_files import mx_names
    from mta_sts_lab.runs.what_if import what_if as play

    now = _publication(policy, record)
    later = _publication(then, then_record or record) if then is not None else None
    hosts = tuple(dict.fromkeys(a_labels(name) for name in mx_names(mx)))
    command = ("sts-lab", *sys.argv[1:])
    request = RunRequest(target=target, flaws=tuple(flaw or ()), family=family, out=out, seed=seed, command=command)
    with watched(console(stderr=True)) as watcher:
        answered = play(request, now, hosts, later, watcher)
    if json:
        say_document(_document(answered))
    else:
        _tell(answered)
        aside(console(), f"record and verdicts: {answered.result.folder}/")
    raise typer.Exit(answered.exit_code)


def _publication(name: str, records: Sequence[str] | None) -> Publication:
    from mta_sts_lab.catalogue.from_policy import Publication
    from mta_sts_lab.runs.policy_files import read_file

    return Publication(read_file(name), tuple(records or ()))


def _tell(answered: WhatIf) -> None:
    from rich.text import Text

    from mta_sts_lab.reports.layout import Hanging, escaped

    screen, question = console(), ""
    for remark in answered.remarks:
        screen.print(Hanging(Text(""), escaped(remark)))
    for answer in answered.answers:
        if answer.question.value != question:
            question = answer.question.value
            unusable = question == "attack" and not answered.usable
            screen.print(Text(_NOBODY_HAS_IT if unusable else _HEADINGS[question], style="bold"))
        style = "red" if answer.waits or answer.as_demanded is False else ""
        screen.print(Hanging(Text("  - "), escaped(answer.says, style)))


def _document(answered: WhatIf) -> str:
    from dataclasses import asdict

    from mta_sts_lab.reports.escaping import legal_json

    return legal_json(
        {
            "format": "sts-lab what-if",
            "version": 1,
            "exit_code": answered.exit_code,
            "target": answered.result.record.header.about.name,
            "run": str(answered.result.folder),
            "remarks": list(answered.remarks),
            "answers": [asdict(answer) for answer in answered.answers],
        }
    )

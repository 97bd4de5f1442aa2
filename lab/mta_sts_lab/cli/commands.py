"""The commands of `sts-lab`. Each expected error is one message and an exit status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab import __version__
from mta_sts_lab.cli.ci import Annotations, ForCi, Junit, JunitKnown, KnownAs, Sarif, WriteKnown
from mta_sts_lab.cli.course import course
from mta_sts_lab.cli.demo import demo
from mta_sts_lab.cli.diff import diff
from mta_sts_lab.cli.docs import docs
from mta_sts_lab.cli.exercise import exercise_app, flaws
from mta_sts_lab.cli.init import init
from mta_sts_lab.cli.matrix import matrix
from mta_sts_lab.cli.options import Flaws, Json, Levels, Modes, Out, Seed, Selection, refuse, request_of
from mta_sts_lab.cli.output import (
    OutputClosed,
    OutputFull,
    aside,
    console,
    escape_what_cannot_be_shown,
    its_help_written,
    leave,
    leave_unread,
    say,
    say_document,
)
from mta_sts_lab.cli.policy_check import EXAMPLES as POLICY_EXAMPLES
from mta_sts_lab.cli.policy_check import policy_check
from mta_sts_lab.cli.run import run
from mta_sts_lab.cli.scenarios import Scenarios, open_scenarios, status_with
from mta_sts_lab.cli.serve import serve
from mta_sts_lab.cli.shards import merge
from mta_sts_lab.cli.telling import tell_changes, tell_findings
from mta_sts_lab.cli.up import up
from mta_sts_lab.cli.what_if import EXAMPLES as WHAT_IF_EXAMPLES
from mta_sts_lab.cli.what_if import what_if

app = typer.Typer(
    name="sts-lab",
    help="An active-attacker test lab for sending mail servers: does yours hold the mail when the policy says enforce?",
    epilog="Exit status: 0 all as expected, 1 findings, 2 usage, 3 lab error, 4 inconclusive, 5 nothing selected.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Without rich's markup: it would take the mode in `starttls/strip[enforce]` for a tag and leave it out.
    rich_markup_mode=None,
)

_REPORT_EXAMPLES = """Examples:

sts-lab report-check report.json.gz

sts-lab report-check ~/Maildir 'archive/2026-*.zip' --html reports.html

sts-lab report-check --json inbox.mbox | jq '.summary.failures[] | [.sessions, .result_type, .host]'
"""


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    if version:
        say(f"sts-lab {__version__}")
        raise typer.Exit


app.command(epilog="Example: sts-lab run --target postfix 'starttls/*' --mode enforce")(run)
app.command(epilog="Example: sts-lab demo strip --target postfix")(demo)
app.command(epilog="Example: sts-lab course --html course/")(course)


@app.command("list", epilog="Example: sts-lab list 'certificate/*' --mode testing")
def list_(selection: Selection = None, mode: Modes = None, level: Levels = None, scenarios: Scenarios = None) -> None:
    """List the cases."""
    from mta_sts_lab.reports.tables import scenarios_table
    from mta_sts_lab.runs.selecting import choose_cases

    catalogue = open_scenarios(scenarios)
    chosen = {case.id for case in choose_cases(catalogue, selection or (), mode or (), level or ())}
    listed = [
        replace(scenario, cases=tuple(case for case in scenario.cases if case.id in chosen))
        for scenario in catalogue.scenarios
        if any(case.id in chosen for case in scenario.cases)
    ]
    console().print(scenarios_table(listed))
    raise typer.Exit(status_with(catalogue, 0))


@app.command(epilog="Example: sts-lab show 'starttls/strip[enforce]'")
def show(
    case: Annotated[str, typer.Argument(help="A case id: 'starttls/strip[enforce]'.")], scenarios: Scenarios = None
) -> None:
    """Show a case: story, steps, attacks, what must happen."""
    from mta_sts_lab.reports.tables import scenario_page
    from mta_sts_lab.requirements import load_requirements

    catalogue = open_scenarios(scenarios)
    found = catalogue.find([case])
    for name in dict.fromkeys(one.scenario for one in found):
        cases = [one for one in found if one.scenario == name]
        console().print(scenario_page(catalogue.scenario(name), load_requirements(), cases))
    raise typer.Exit(status_with(catalogue, 0))


@app.command(epilog="Example: sts-lab judge 20261124-022900-1a2b3c")
def judge(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run, or its id.")],
    out: Out = Path("runs"),
    json: Json = False,
    flows: Annotated[
        bool, typer.Option("--flows", help="Write flows/*.mitm (for mitmweb) of every case: a run leaves out passes.")
    ] = False,
    scenarios: Scenarios = None,
    write_known: WriteKnown = None,
    junit: Junit = None,
    junit_known: JunitKnown = KnownAs.SKIPPED,
    sarif: Sarif = None,
    annotations: Annotations = None,
) -> None:
    """Judge a run again, from its record alone.

    It says which verdicts changed.
    """
    from mta_sts_lab.runs.selecting import verdicts_before
    from mta_sts_lab.runs.service import find_run, judge_run
    from mta_sts_lab.runs.writing import kept_known_failures

    folder = find_run(run_, out)
    before = verdicts_before(folder)
    for_ci = ForCi(junit, junit_known, sarif, annotations, write_known)
    for_ci.check()
    catalogue = open_scenarios(scenarios)
    result = judge_run(folder, catalogue, all_flows=flows)
    if json:
        say_document(result.document.decode())
    else:
        tell_findings(console(), result)
        if not kept_known_failures(folder).exists():
            aside(console(), f"no known failures were kept in {folder}/target/: every finding counts as news")
        tell_changes(console(), before, result)
    for_ci.write(result)
    raise typer.Exit(status_with(catalogue, result.summary.exit_code))


app.command(epilog="Example: sts-lab up 'starttls/strip[enforce]' --target postfix")(up)
app.command(epilog="Example: sts-lab serve --network mail_default --container mail_mta_1")(serve)
app.command(epilog="Example: sts-lab merge shard-1 shard-2")(merge)
app.command(epilog="Example: sts-lab init my-mta")(init)
app.command(epilog="Example: sts-lab diff 20261124-022900-1a2b3c 20261125-022900-4d5e6f")(diff)
app.command(epilog="Example: sts-lab matrix runs/* --html matrix.html")(matrix)


@app.command(epilog="Example: sts-lab lint")
def lint(scenarios: Scenarios = None) -> None:
    """Check the scenario files.

    It finds expectations that cannot fail, attacks that cannot take effect, and words that do not exist.
    """
    catalogue = open_scenarios(scenarios)
    wrong = len(catalogue.problems)
    errors = f"{wrong} error{'' if wrong == 1 else 's'}" if wrong else "no errors"
    say(f"{len(catalogue.scenarios)} scenarios, {len(catalogue.cases)} cases: {errors}")
    raise typer.Exit(status_with(catalogue, 0))


@app.command(epilog="Example: sts-lab requirements STS-5-03")
def requirements(
    identifier: Annotated[str | None, typer.Argument(metavar="ID", help="One obligation: STS-5-03.")] = None,
    scenarios: Scenarios = None,
) -> None:
    """Count which obligations of the RFCs are covered.

    With an id: that obligation, and the scenarios that are about it.
    """
    from mta_sts_lab.reports.tables import requirement_page, requirements_table
    from mta_sts_lab.requirements import load_requirements, near_misses

    rows = load_requirements()
    catalogue = open_scenarios(scenarios)
    if identifier is None:
        console().print(requirements_table(rows.values()))
        return
    if identifier not in rows:
        near = near_misses(identifier, rows)
        refuse(f"there is no requirement {identifier}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    console().print(requirement_page(rows[identifier], catalogue.scenarios))


@app.command(epilog="Example: sts-lab targets --build")
def targets(
    build: Annotated[bool, typer.Option("--build", help="Build the images of all targets now.")] = False,
) -> None:
    """List the mail servers that can be tested.

    These are the reference sender, and every mail server with a folder in docker/.
    """
    from mta_sts_lab.backends.folder import shipped_targets
    from mta_sts_lab.backends.registry import find_backend
    from mta_sts_lab.reports.tables import TargetSummary, targets_table

    if build:
        _build_all()
        return
    rows = []
    for target in shipped_targets().values():
        backend = find_backend(target.file.backend)
        where = backend.name.replace("_", " ")
        rows.append(TargetSummary(target.name, where, target.file.description, backend.capabilities(target)))
    console().print(targets_table(rows))


@app.command("target-check", epilog="Example: sts-lab target-check ./my-mta/")
def target_check(
    target: Annotated[str, typer.Argument(help="A folder of your own (./my-mta), or a target that is shipped.")],
    flaw: Flaws = None,
    out: Out = Path("runs"),
    seed: Seed = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")] = False,
) -> None:
    """Check the adapter of a mail server.

    Is it up, does mail arrive when nobody attacks, do its hooks do what they say, and are its claims true?
    """
    from mta_sts_lab.adapter_check.page import adapter_page, exit_code
    from mta_sts_lab.reports.progress import Progress
    from mta_sts_lab.runs.adapter import check_adapter
    from mta_sts_lab.runs.watching import Watcher

    screen = console(stderr=True)
    with Progress(screen) as progress:
        watcher = Watcher(event=progress.on_event, say=lambda text: aside(screen, text))
        checked = check_adapter(request_of(None, None, target, flaw, out, seed), watcher)
    if json:
        say_document(checked.document)
    else:
        console().print(adapter_page(checked.findings))
        aside(console(), f"record and findings: {checked.folder}/")
    raise typer.Exit(exit_code(checked.findings))


@app.command("report-check", epilog=_REPORT_EXAMPLES)
def report_check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Files, folders, Maildirs or globs; - for standard input."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, and nothing else.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the summary as one HTML page.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also each clean report, and what a report alone does not show.")
    ] = False,
    media_type: Annotated[
        str | None, typer.Option("--media-type", help="The files are bodies of HTTP requests of this Content-Type.")
    ] = None,
    dkim_key: Annotated[
        list[str] | None, typer.Option("--dkim-key", help="A DKIM key: 'selector._domainkey.domain=RECORD'.")
    ] = None,
) -> None:
    """Read TLS reports (RFC 8460) that you have.

    It says which failures they report, at which host, why and how often, and checks their form.

    Takes JSON, gzip, whole mails, mailboxes (mbox, Maildir), zip and tar archives, also inside one another.

    Exit status: 0 clean, 1 findings, 2 something could not be read, a file that you name holds neither reports nor
    mail, or there is no TLS report.
    """
    from mta_sts_lab.cli.report_check import check_files, exit_status, show, write_page
    from mta_sts_lab.reports.tls_reports.document import document

    checked = check_files(files, media_type, dkim_key or ())
    if html is not None:
        write_page(html, checked)
    if json:
        say_document(document(checked, exit_status(checked)))
    else:
        show(console(), checked, verbose)
    raise typer.Exit(exit_status(checked))


app.command("policy-check", epilog=POLICY_EXAMPLES)(policy_check)
app.command("what-if", epilog=WHAT_IF_EXAMPLES)(what_if)
app.command(epilog="Example: sts-lab flaws certificate")(flaws)
app.command(epilog="Example: sts-lab docs ambiguities#end-of-day")(docs)
app.add_typer(exercise_app)


@app.command(epilog="Example: sts-lab clean")
def clean(
    all_: Annotated[bool, typer.Option("--all", help="In Docker also what belongs to runs still going.")] = False,
    out: Out = Path("runs"),
) -> None:
    """Remove what killed runs left behind.

    That is containers, networks, and folders with a record that was cut short.
    """
    from mta_sts_lab.runs.leftovers import clean_everything

    gone = 0
    for line in clean_everything(out, living_too=all_):
        gone += 1
        say(line)
    say(f"{gone} removed" if gone else "nothing was left behind")


@app.command(hidden=True)
def play_served_plan() -> None:
    """Play the plan in /lab: what the lab's own container runs."""
    from mta_sts_lab.backends.served import play_served_plan as play
    from mta_sts_lab.backends.served_plan import PLAN

    if not PLAN.is_file():
        refuse(f"there is no {PLAN}: this is what runs in the lab's own container, and nowhere else")
    play()


@app.command(hidden=True)
def reference_sender() -> None:
    """Run the reference sender as a mail server that keeps the target contract: what its container runs."""
    import asyncio
    import os

    from mta_sts_lab.backends.in_process import serve_reference_sender

    asyncio.run(serve_reference_sender(os.environ))


def main() -> None:
    """Run the command line. Every error is one message and an exit status, never a traceback."""
    escape_what_cannot_be_shown()
    try:
        with its_help_written():
            app(standalone_mode=True, prog_name="sts-lab")
    except OutputClosed:
        leave_unread()
    except Exception as error:  # noqa: BLE001 - becomes a message
        from mta_sts_lab.runs.errors import LAB_ERROR, fault_of_the_lab, status_of

        status = LAB_ERROR if isinstance(error, OutputFull) else status_of(error)
        if status is None:
            leave(fault_of_the_lab(error), LAB_ERROR)
        leave(str(error), status)


def _build_all() -> None:
    """Build all images, and say at the end which could not be built."""
    from mta_sts_lab.backends.folder import build_shipped
    from mta_sts_lab.backends.registry import BackendError

    results = build_shipped(say)
    for result in results:
        say(f"{result.target}: {result.image or result.problem}")
    failed = [result.target for result in results if result.problem]
    if failed:
        raise BackendError(f"{len(failed)} of {len(results)} images could not be built: {', '.join(failed)}")

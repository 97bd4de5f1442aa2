"""The service behind every command that runs cases: plan, play, judge, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mta_sts_lab.adapter_check.probes import has_probes
from mta_sts_lab.backends.folder import find_target, with_config
from mta_sts_lab.backends.in_process import check_flaws
from mta_sts_lab.backends.local import LocalBackend, few_collections
from mta_sts_lab.backends.registry import Job, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.checks.premises import LAB_UNHEALTHY
from mta_sts_lab.judge.known_failures import (
    KnownComparison,
    KnownFailure,
    compare_with_known,
    known_failures_in,
    read_known_failures,
)
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Header, Record, RecordError, RecordFile
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.command_line import deciding_options, repeat_command_of
from mta_sts_lab.reports.summary import Summary, summarise
from mta_sts_lab.reports.verdicts_reading import read_verdicts
from mta_sts_lab.reports.writers import JudgedRecord, write_all, write_files
from mta_sts_lab.reports.writers.mitm import flow_files, mitm
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.plan import PLAYED, Plan, plan_run
from mta_sts_lab.runs.captures import check_captures, divide_capture
from mta_sts_lab.runs.entering import check_stays_up
from mta_sts_lab.runs.errors import RunBroken, UsageError
from mta_sts_lab.runs.families import in_families
from mta_sts_lab.runs.jobs import parts_of, play_in_processes
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.runs.replaying import (
    SPOILED_PLAYS,
    Replay,
    perhaps_for_want_of_time,
    what_is_played_again,
    worth_another_play,
)
from mta_sts_lab.runs.scenarios import load_scenarios, load_shipped_catalogue
from mta_sts_lab.runs.selecting import check_same_target, choose_cases, left_out_since
from mta_sts_lab.runs.sharding import take_shard
from mta_sts_lab.runs.short_of_time import cases_short_of_time
from mta_sts_lab.runs.watching import Watcher, Watching
from mta_sts_lab.runs.writing import (
    RunWriter,
    interruptible,
    keep_known_failures,
    kept_known_failures,
    known_failures_text,
    make_folder,
    record_in,
    target_log,
)
from mta_sts_lab.targets.contract_http import name_unknown


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Which cases to play, against which target, and where the results go."""

    #: Cases, scenarios, families or obligations; `*` and `?` are wild. Empty: all.
    selection: tuple[str, ...] = ()
    #: Policy modes (`enforce`). Empty: all.
    modes: tuple[str, ...] = ()
    #: The name of a shipped target, or the path of a target's folder.
    target: str = "reference"
    #: Flaws of the reference sender.
    flaws: tuple[str, ...] = ()
    #: The folder in which the folder of the run is made.
    out: Path = Path("runs")
    #: Repeats the random names of an earlier run.
    seed: int | None = None
    #: What the user typed; it goes into the record.
    command: tuple[str, ...] = ()
    #: Whether none of the target's hooks are used.
    black_box: bool = False
    #: Which shard of how many to play (2, 5); None: all that is selected.
    shard: tuple[int, int] | None = None
    #: The seconds that cases took in an earlier run, by which shards are made equal.
    seconds: Mapping[str, float] = field(default_factory=dict)
    #: How often cases are played again that prove nothing; None: twice, and only those that the lab itself has spoiled,
    #: or the machine may have.
    retry_inconclusive: int | None = None
    #: A folder with scenario files; None: those that come with the lab.
    scenarios: Path | None = None
    #: In how many processes to play, each with an instance of the target; None: the reference sender in as many as pay
    #: on this machine, every other target in one.
    jobs: int | None = 1
    #: Whether the worlds stay up when the cases have been played, until a signal comes.
    keep: bool = False
    #: Whether the packets of each case are captured, with the secrets of TLS.
    pcap: bool = False
    #: The target itself, where it has no name and no folder: `--command`.
    unnamed_target: TargetFolder | None = None
    #: What the reference sender calls itself, instead of naming its flaws: nothing that a run writes tells them then.
    called: str = ""
    #: What is laid over a shipped target: folders and files of an operator's configuration.
    config: tuple[str, ...] = ()
    #: Packages, and programs with their place, that are installed into a shipped target's image.
    install: tuple[str, ...] = ()
    #: A list of known failures that stands in the place of the target's own.
    known_failures: Path | None = None
    #: Levels of obligations (`MUST`). Empty: all.
    levels: tuple[str, ...] = ()
    #: The folder or id of a run: only what changed since then. Empty: everything.
    since: str = ""
    #: The families in which the world's hosts have addresses: `ipv4`, `ipv6` or `both`; empty: see `in_families`.
    family: str = ""

    def known_failures_of(self, target: TargetFolder) -> Path:
        """Return the list of known failures that the run is compared with. Raises `UsageError` if it is missing."""
        if self.known_failures is None:
            return target.known_failures
        if not _is_file(self.known_failures):
            raise UsageError(f"--known {self.known_failures}: there is no such file; --write-known writes one")
        return self.known_failures


@dataclass(frozen=True, slots=True)
class RunResult:
    """The record of a run, its verdicts, and the folder with both."""

    record: Record
    verdicts: tuple[Verdict, ...]
    known: KnownComparison
    summary: Summary
    folder: Path
    #: The content of verdicts.json.
    document: bytes = field(repr=False)
    #: The target's log; empty if there is none.
    log: str = field(default="", repr=False)


def known_failures_for(request: RunRequest, target: TargetFolder) -> tuple[KnownFailure, ...]:
    """Return what is known of a request's target, with what it inherits from the shipped one that it is based on.

    Raises `UsageError` and `KnownFailuresError`.
    """
    known = request.known_failures_of(target)
    return known_failures_in(known_failures_text(known, None if request.known_failures else target), known)


def cases_of(request: RunRequest, catalogue: Catalogue) -> tuple[Case, ...]:
    """Return the cases that a request selects.

    Raises `NothingSelected`, `UsageError` and `RecordError`, and with `since` the errors of `find_target_for`.
    """
    since = find_run(request.since, request.out) if request.since else None
    if since is not None:
        check_same_target(since, request.command, find_target_for(request).own_files)
    return choose_cases(catalogue, request.selection, request.modes, request.levels, since)


def plan(request: RunRequest, catalogue: Catalogue | None = None) -> Plan:
    """Return the plan of a request: the cases, with their control cases. Raises the errors of `cases_of`."""
    catalogue = catalogue or load_scenarios(request.scenarios)
    cases = cases_of(request, catalogue)
    shard = None
    if request.shard is not None:
        cases, shard = take_shard(cases, *request.shard, request.seconds)
    planned = plan_run(cases, catalogue.cases, request.command, request.seed, black_box=request.black_box)
    stays = PLAYED if request.keep else ""
    return replace(planned, stays=stays, shard=shard, catalogue=catalogue.digest, captures=request.pcap)


def _say_what_is_left_out(request: RunRequest, catalogue: Catalogue, watcher: Watcher) -> None:
    """Say what `since` leaves out of the selection, all shards of it. Raises the errors of `cases_of`."""
    selected = cases_of(replace(request, since=""), catalogue)
    played = {case.id for case in cases_of(request, catalogue)}
    watcher.say(left_out_since(find_run(request.since, request.out), selected, played))


def find_target_for(request: RunRequest) -> TargetFolder:
    """Return the target of a request, if it can be played.

    Raises `TargetRefused`, `UsageError` and `KnownFailuresError`.
    """
    check_flaws(request.flaws)
    target = request.unnamed_target or find_target(request.target)
    if request.config or request.install:
        target = with_config(target, request.config, request.install)
    find_backend(target.file.backend).check(target, request.flaws)
    read_known_failures(request.known_failures_of(target))
    return target


def run(request: RunRequest, watcher: Watcher | None = None, catalogue: Catalogue | None = None) -> RunResult:
    """Play a request, judge the record, and write everything into a new folder.

    An interrupt ends the run and leaves a record that is marked as incomplete. Raises the errors of `runs.errors`. An
    exception of the watcher is raised at the end, when everything is on disk.
    """
    watching = Watching(watcher or Watcher())
    catalogue = catalogue or load_scenarios(request.scenarios)
    planned = plan(request, catalogue)
    target = find_target_for(request)
    planned = replace(in_families(planned, request.family, target), own_files=target.own_files)
    if request.keep:
        check_stays_up(target)
    if request.pcap:
        check_captures(target)
    if request.since:
        _say_what_is_left_out(request, catalogue, watching.watcher)
    folder = make_folder(request.out, planned.run)
    with interruptible(folder):
        with record_in(folder) as file:
            known = request.known_failures_of(target)
            keep_known_failures(known, folder, None if request.known_failures else target)
            watching.watcher.planned(planned)
            job, judged = _play(request, planned, target, watching, file)
        try:
            if request.pcap and (missing := divide_capture(folder, folder)):
                watching.watcher.say(missing)
            result = judge_run(folder, catalogue, judged)
            result = _play_again(request, job, result, catalogue)
        except RecordError as error:
            raise RunBroken(str(error)) from error
    watching.raise_failed()
    _warn(request, result, watching.watcher)
    return result


def _play(
    request: RunRequest, planned: Plan, target: TargetFolder, watching: Watching, file: RecordFile
) -> tuple[Job, tuple[Verdict, ...] | None]:
    """Play a plan, in several processes where that is asked for and can be.

    Returns its job and, if the processes have judged it, the verdicts.
    """
    backend, say = find_backend(target.file.backend), watching.watcher.say
    # A capture is that of one network namespace.
    one = planned.stays or planned.captures or (request.jobs is None and not backend.divided_by_default)
    parts = parts_of(planned, 1 if one else request.jobs)
    only_one = f"the target.toml of {target.name} says that one of it can be up at a time"
    if len(parts) > 1 and (why := only_one if target.file.one_at_a_time else backend.one_at_a_time(target)):
        if request.jobs is not None:
            say(f"played in one process, not in {len(parts)}: {why}")
        parts = (planned,)
    directory = file.path.parent / "target"

    def begun(header: Header) -> None:
        # A world in this process shares its event loop with whoever watches.
        if len(parts) == 1 and not isinstance(backend, LocalBackend):
            watching.header(header, read_known_failures(kept_known_failures(file.path.parent)))

    writer = RunWriter(file, directory, watching.event, begun)
    job = Job(planned, target, writer.outlet(), directory, frozenset(request.flaws), say, called=request.called)
    if len(parts) > 1:
        return job, play_in_processes(job, parts, backend, watching, file)
    backend.play(job)
    writer.raise_unwritten()
    return job, None


def _warn(request: RunRequest, result: RunResult, watcher: Watcher) -> None:
    """Say what was wrong with the lab, or with what the target says about itself."""
    if unproved := [one.case for one in result.verdicts if LAB_UNHEALTHY in {why.reason for why in one.judgements}]:
        options = deciding_options(request.command) or ("--target", request.target)
        again = repeat_command_of(unproved, options)
        watcher.say(f"the lab was not in order: {len(unproved)} cases prove nothing for that; repeat them: {again}")
    if unknown := result.record.header.about.unknown:
        watcher.say(f"warning: GET /about says what is not known and was ignored: {name_unknown(unknown)}")


def _play_again(request: RunRequest, job: Job, result: RunResult, catalogue: Catalogue) -> RunResult:
    """Play the cases again that prove nothing, or may not, one at a time, and judge the run with these plays."""
    asked = request.retry_inconclusive
    plays, backend = SPOILED_PLAYS if asked is None else asked, find_backend(job.target.file.backend)
    for number in range(1, plays + 1):
        slow = perhaps_for_want_of_time(result.verdicts, result.known, cases_short_of_time(result.record))
        everything = asked is not None
        again = worth_another_play(
            result.verdicts,
            catalogue.cases,
            all_inconclusive=everything,
            perhaps_too_slow=slow,
            in_doubt=result.known.in_doubt,
        )
        if not again or not result.summary.complete:
            break
        job.say(what_is_played_again(again, number, plays))
        cases = tuple(catalogue.cases[case] for case in again)
        if problem := Replay(job, backend, number, cases, catalogue.cases).play(result.folder):
            job.say(f"they could not be played again: {problem}")
        result = judge_run(result.folder, catalogue)
        if problem:
            break
    return result


@few_collections()
def judge_run(
    folder: Path,
    catalogue: Catalogue | None = None,
    judged: tuple[Verdict, ...] | None = None,
    *,
    all_flows: bool = False,
) -> RunResult:
    """Judge the record in a run's folder and write the verdicts beside it; with `all_flows` also those of passes.

    `judged` are the verdicts, if the parts of the run were judged already; the flows were then written, too.
    Raises `RecordError`, `KnownFailuresError` and `UsageError`.
    """
    record = read_record(folder / "record.jsonl")
    hold(folder)
    if has_probes(record.header.cases):
        raise UsageError(f"{folder}: the record of a target-check, which has no verdicts; repeat it with target-check")
    known_failures = read_known_failures(kept_known_failures(folder))
    requirements = load_requirements()
    verdicts = tuple(judge(record, requirements)) if judged is None else judged
    catalogue = catalogue or load_shipped_catalogue()
    # Scenarios of one's own, and those made from a policy, know nothing of the cases that a shipped list is about.
    shipped = load_shipped_catalogue().cases if known_failures else {}
    there = {*catalogue.cases, *shipped, *(case.id for case in record.header.cases)}
    known = compare_with_known(verdicts, known_failures, there)
    if record.header.black_box:
        # Without hooks the target shows less: a known failure that does not occur means nothing.
        known = replace(known, vanished=())
    log = target_log(folder)
    try:
        written = () if judged is None else (mitm.__name__,)
        write_all(folder, JudgedRecord(record, verdicts, requirements, known, log), written)
        if all_flows:
            write_files(folder, flow_files(record))
        document = (folder / "verdicts.json").read_bytes()
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: the verdicts cannot be written: {error.strerror}") from error
    return RunResult(record, verdicts, known, summarise(record, verdicts, known), folder, document, log)


def find_run(name: str, out: Path) -> Path:
    """Return the folder of a run, by its path or by its id. Raises `RecordError`."""
    for candidate in (Path(name), out / name):
        if _is_file(candidate / "record.jsonl"):
            return candidate
        if candidate.name == "record.jsonl" and _is_file(candidate):
            return candidate.parent
    there = sorted(path.name for path in out.glob("*/") if _is_file(path / "record.jsonl"))[-3:]
    hint = f"; the latest runs here are {', '.join(there)}" if there else f"; there are no runs in {out}/"
    raise RecordError(f"{name}: no record of a run there{hint}")


def _is_file(path: Path) -> bool:
    """Whether there is a file. A name that is too long for a file counts as none."""
    try:
        return path.is_file()
    except OSError:
        return False


def seconds_of_cases(folder: Path) -> dict[str, float]:
    """Return how long each case of a run took. Raises `VerdictsError`."""
    judged = read_verdicts(folder / "verdicts.json")
    return {verdict.case: round(verdict.ended - verdict.began, 3) for verdict in judged.verdicts}

"""The pytest plugin: `pytest --sts-target ./my-mta` plays the lab's cases, and `sts_lab` is for tests of one's own.

pytest loads this module in every session (`pytest11`), so it imports nothing heavy before a target is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from mta_sts_lab.pytest_plugin.last_word import LastWord
from mta_sts_lab.pytest_plugin.settings import CASES, Settings, run_folder, settings_of
from mta_sts_lab.shipped_files import shipped_files

if TYPE_CHECKING:
    from mta_sts_lab.pytest_plugin.own_tests import Lab


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; see `pytest --help`."""
    group = parser.getgroup("sts-lab", "attacks on a sending mail server (mta-sts-lab)")
    group.addoption(
        "--sts-target",
        metavar="TARGET",
        help="Play the lab's cases, each as a test: against a folder (./my-mta), a shipped mail server or `reference`.",
    )
    group.addoption(
        "--sts-command", metavar="CMD", help="Instead of --sts-target: a program, run in namespaces of its own."
    )
    group.addoption("--sts-smtp", metavar="PORT", type=int, help="The port on which --sts-command takes mail (25).")
    group.addoption("--sts-ready", metavar="SECONDS", type=float, help="How long --sts-command has to come up.")
    group.addoption(
        "--sts-case",
        metavar="PATTERN",
        action="append",
        default=[],
        help="Only these cases, scenarios or families: 'starttls/*' (may be repeated). -k and -m work, too.",
    )
    group.addoption(
        "--sts-scenarios",
        metavar="DIR",
        help="Scenario files of your own, DIR/<family>/<name>.toml, instead of those that come with the lab.",
    )
    group.addoption("--sts-known", metavar="FILE", help="The known failures, instead of those in the target's folder.")
    group.addoption(
        "--sts-flaw", metavar="FLAW", action="append", default=[], help="Give the reference sender a flaw (repeatable)."
    )
    group.addoption("--sts-black-box", action="store_true", help="Use none of the target's hooks: slower.")
    group.addoption(
        "--sts-out", metavar="DIR", help="Keep the folders of the runs here, instead of in pytest's temporary folder."
    )
    parser.addini("sts_target", "The target of the fixture sts_lab, where no --sts-target is given.", default="")
    parser.addini("sts_scenarios", "The folder of scenario files, where no --sts-scenarios is given.", default="")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, register the markers, and take the ids of cases (`sts-lab::...`) out of the paths."""
    settings = settings_of(config)
    config.addinivalue_line("markers", f"{CASES}: a case of mta-sts-lab, played against --sts-target")
    if not settings.plays_cases:
        return
    scenarios = settings.scenarios or shipped_files() / "scenarios"
    for family in sorted(path.name for path in scenarios.iterdir() if path.is_dir()):
        config.addinivalue_line("markers", f"{family}: a case of this family of mta-sts-lab")
    for mode in ("enforce", "testing", "none", "absent"):
        config.addinivalue_line("markers", f"{mode}: a case of mta-sts-lab under this policy mode")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(LastWord())
        named = [argument for argument in config.args if argument.startswith(f"{CASES}::")]
        config.option.sts_named = named
        config.option.sts_nothing_else = len(named) == len(config.args)
        config.args[:] = [argument for argument in config.args if argument not in named]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the target."""
    settings = settings_of(config)
    return f"{CASES}: target {settings.shown}" if settings.plays_cases else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the cases to what the session collects."""
    report = yield
    if isinstance(collector, pytest.Session) and settings_of(collector.config).plays_cases:
        with warnings.catch_warnings(action="ignore"):
            from mta_sts_lab.pytest_plugin.cases import CaseCollector

        cases = CaseCollector.from_parent(collector, name=CASES, nodeid=CASES)
        others = [] if collector.config.getoption("sts_nothing_else", False) else report.result
        report.result = [*others, cases]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give each case its own duration: all of them are played while the first is set up."""
    report = yield
    seconds = getattr(item, "case_seconds", None)
    if seconds is not None:
        report.duration = seconds if report.when == "call" else 0.0
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker of pytest-xdist a shard of the cases; all other tests are spread as --dist says."""
    if not settings_of(config).plays_cases:
        return None
    with warnings.catch_warnings(action="ignore"):
        from mta_sts_lab.pytest_plugin.distribution import make_scheduler

    return make_scheduler(config, log)


@pytest.fixture(scope="session")
def sts_lab(request: pytest.FixtureRequest) -> Lab:
    """Play attacks against the mail server of --sts-target (or of `sts_target` in the ini file) in a test of your own.

    `sts_lab.play("starttls/strip[enforce]")` plays a case of the lab's; `sts_lab.attack("strip_starttls")` makes a
    world with an attack. Both return what happened: its outcome, the record, and assertions on them.
    """
    with warnings.catch_warnings(action="ignore"):
        from mta_sts_lab.pytest_plugin.own_tests import Lab

    return Lab(Settings.for_fixtures(request.config), run_folder(request.config))

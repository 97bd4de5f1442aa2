"""The third ring: Postfix does what is known of it, and its image counts, reports and signs for each domain."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.run import run_in_containers
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.events import ReportReceived
from mta_sts_lab.record_reading import read_record

import docker
from tests.backends.docker.test_third_ring import Looking, container, ours, plan_of
from tests.backends.docker.throw_away import WITH_THE_IMAGE, FinishedRun, nothing_but_what_is_known

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


@pytest.fixture(scope="module", autouse=True)
def _images(engine: docker.DockerClient) -> None:
    """Build before anything is timed."""
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)


def findings(run: FinishedRun, name: str) -> set[tuple[str, str]]:
    """Return what a case's verdict rests on, passes and notes aside."""
    judged = run.case(name)["judgements"]
    return {(one["obligation"], one["reason"]) for one in judged if one["result"] not in ("pass", "info")}


@pytest.mark.alone
@pytest.mark.target_postfix
@pytest.mark.timeout(WITH_THE_IMAGE)
def test_postfix_does_what_is_known_of_it_and_nothing_else(
    engine: docker.DockerClient, postfix_run: FinishedRun
) -> None:
    nothing_but_what_is_known(postfix_run)
    assert ours(engine, postfix_run.folder.name) == []


@pytest.mark.alone
@pytest.mark.target_postfix
@pytest.mark.timeout(WITH_THE_IMAGE)
def test_reports_leave_signed_and_about_a_whole_day(postfix_run: FinishedRun) -> None:
    assert postfix_run.case("rpt-https/tried-again[enforce,busy]")["verdict"] == "pass"
    # Dates and signature are in order. The form of the identifier in the Subject is a finding of the whole run.
    assert [one["reason"] for one in postfix_run.document["findings_of_the_run"]] == ["report-id-form"]
    assert findings(postfix_run, "rpt-schema/dates[enforce]") == set()
    assert findings(postfix_run, "rpt-mail/signature[enforce]") == set()
    record = read_record(postfix_run.folder / "record.jsonl")
    assert list(record.header.about.dkim_records) == ["tlsrpt._domainkey.sender.example"]
    assert record.header.about.dkim_records["tlsrpt._domainkey.sender.example"].startswith(
        "v=DKIM1; k=rsa; s=tlsrpt; p="
    )
    assert {"mta-sts", "tls-rpt"} <= set(record.header.about.capabilities)
    assert record.header.about.versions["tlsrpt-reporter"] == "0.6.0"
    refused_and_taken = [
        event.fact.status
        for event in record.events
        if isinstance(event.fact, ReportReceived) and event.case == "rpt-https/tried-again[enforce,busy]"
    ]
    assert refused_and_taken == [503, 201]


@pytest.mark.alone
@pytest.mark.target_postfix
@pytest.mark.timeout(WITH_THE_IMAGE)
def test_one_domains_record_does_not_stop_the_reports_to_others(postfix_run: FinishedRun) -> None:
    twice = findings(postfix_run, "rpt-dns/several-addresses[enforce,twice-the-same]")
    assert twice == {("RPT-3-03", "no-report")}
    assert postfix_run.case("rpt-dns/wanted[enforce,https]")["verdict"] == "pass"
    log = (postfix_run.folder / "target" / "log.txt").read_text()
    assert "UNIQUE constraint failed: destinations.destination, destinations.d_r_id" in log
    assert log.count("is put aside: its record names one address twice") == 1


def test_the_network_of_a_target_has_the_settings_of_its_file(engine: docker.DockerClient, tmp_path: Path) -> None:
    plan = plan_of("starttls/strip")
    seen: list[str] = []

    def look() -> None:
        told = container(engine, plan, "target").exec_run(["cat", "/proc/sys/net/unix/max_dgram_qlen"])
        seen.append(told.output.decode().strip())

    looking = Looking(look)
    done = run_in_containers(Job(plan, find_target("postfix"), looking.outlet(), tmp_path, say=print))
    assert (done.status, looking.complete) == (0, True)
    assert seen == [find_target("postfix").file.sysctls["net.unix.max_dgram_qlen"]] == ["512"]

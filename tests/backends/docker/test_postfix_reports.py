"""The third ring: the Postfix image counts, reports and signs, and one domain's record stops nobody else's reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.folder import find_target
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.run import run_in_containers
from mta_sts_lab.events import ReportReceived
from mta_sts_lab.record import Record, read_record

import docker
from tests.backends.docker.test_third_ring import Looking, container, plan_of, play, run_of
from tests.cli.program import Answer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


@pytest.fixture(scope="module", autouse=True)
def _images(engine: docker.DockerClient) -> None:
    """Build before anything is timed."""
    lab_image(engine, print)
    target_image(engine, find_target("postfix"), print)


def case_in(answer: Answer, name: str) -> Any:
    (found,) = [case for case in json.loads(answer.out)["cases"] if case["id"] == name]
    return found


def findings(answer: Answer, name: str) -> set[tuple[str, str]]:
    """Return what a case's verdict rests on, passes and notes aside."""
    judged = case_in(answer, name)["judgements"]
    return {(one["obligation"], one["reason"]) for one in judged if one["result"] not in ("pass", "info")}


def record_of(place: Path) -> Record:
    return read_record(place / "runs" / run_of(place) / "record.jsonl")


def test_reports_leave_signed_and_about_a_whole_day(tmp_path: Path) -> None:
    answer = play(
        tmp_path, "run", "rpt-mail/signature", "rpt-schema/dates", "rpt-https/tried-again", "--json",
        "--target", "postfix",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    assert case_in(answer, "rpt-schema/dates[enforce]")["verdict"] == "pass"
    assert case_in(answer, "rpt-https/tried-again[enforce]")["verdict"] == "pass"
    # The signature is in order: nothing is found but the form of the identifier in the Subject.
    assert findings(answer, "rpt-mail/signature[enforce]") == {("RPT-5.3-09", "report-id-form")}
    record = record_of(tmp_path)
    assert list(record.header.about.dkim_records) == ["tlsrpt._domainkey.sender.example"]
    assert record.header.about.dkim_records["tlsrpt._domainkey.sender.example"].startswith(
        "v=DKIM1; k=rsa; s=tlsrpt; p="
    )
    assert {"mta-sts", "tls-rpt"} <= set(record.header.about.capabilities)
    assert record.header.about.versions["tlsrpt-reporter"] == "0.6.0"
    refused_and_taken = [
        event.fact.status
        for event in record.events
        if isinstance(event.fact, ReportReceived) and event.case == "rpt-https/tried-again[enforce]"
    ]
    assert refused_and_taken == [503, 201]


def test_one_domains_record_does_not_stop_the_reports_to_others(tmp_path: Path) -> None:
    answer = play(tmp_path, "run", "rpt-dns/several-addresses", "rpt-dns/wanted", "--json", "--target", "postfix")
    assert answer.status == 0, answer.err
    assert findings(answer, "rpt-dns/several-addresses[enforce,twice-the-same]") == {("RPT-5-01", "no-report")}
    assert case_in(answer, "rpt-dns/wanted[enforce,https]")["verdict"] == "pass"
    log = (tmp_path / "runs" / run_of(tmp_path) / "target" / "log.txt").read_text()
    assert "UNIQUE constraint failed: destinations.destination, destinations.d_r_id" in log
    assert log.count("is put aside: its record names one address twice") == 1


def test_the_network_of_a_target_has_the_settings_of_its_file(engine: docker.DockerClient) -> None:
    plan = plan_of("starttls/strip")
    seen: list[str] = []

    def look() -> None:
        told = container(engine, plan, "target").exec_run(["cat", "/proc/sys/net/unix/max_dgram_qlen"])
        seen.append(told.output.decode().strip())

    looking = Looking(look)
    done = run_in_containers(plan, find_target("postfix"), frozenset(), looking.outlet(), print)
    assert (done.status, looking.complete) == (0, True)
    assert seen == [find_target("postfix").file.sysctls["net.unix.max_dgram_qlen"]] == ["512"]

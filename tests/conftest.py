"""What every ring of the tests shares: the Docker engine, or the one line that says why the third ring was not run."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.nightly import mark_nightly, nightly_tests

if TYPE_CHECKING:
    import docker

# How long an example takes depends on what else the machine does, and is no finding.
settings.register_profile("lab", deadline=None)
settings.load_profile("lab")

#: Set where a missing engine must fail the tests instead of skipping them: in continuous integration.
REQUIRED = "LAB_REQUIRE_DOCKER"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the Docker engine. Without one the test is skipped, or fails where the engine is required."""
    from mta_sts_lab.backends.docker.engine import EngineError, connect

    try:
        client = connect()
    except EngineError as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, and {error}", pytrace=False)
        pytest.skip("no Docker engine answers: the third ring was not run")
    yield client
    client.close()


@pytest.hookimpl(tryfirst=True)  # before -m selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are left to the nightly run."""
    mark_nightly(items, nightly_tests())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test with Docker that was skipped fail where an engine is required."""
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and os.environ.get(REQUIRED) == "1"
        and item.get_closest_marker("docker")
    ):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRED}=1, and this test was skipped: {report.longrepr}"
    return report

"""The log of a target in namespaces: what it prints and what it sends to syslog, each in lines of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mta_sts_lab.backends.process.target_init import LONGEST_LINE, Log

# The file is open as long as the process lives that keeps the log.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_a_line_of_syslog_never_comes_into_the_middle_of_another(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log.txt"))
    target = log.pipe()
    os.write(target, b"one\ntw")
    # The pipe is read by a thread: once `one` is there, so is the beginning of `two`.
    while b"one\n" not in (tmp_path / "log.txt").read_bytes():
        os.sched_yield()
    log.write(b"a line of syslog\n")
    os.write(target, b"o\nthree")
    log.close_pipe()
    assert (tmp_path / "log.txt").read_bytes() == b"one\na line of syslog\ntwo\nthree"


def test_a_line_that_never_ends_is_kept_all_the_same(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log.txt"))
    target = log.pipe()
    octets = b"x" * (3 * LONGEST_LINE)
    sent = 0
    while sent < len(octets):
        sent += os.write(target, octets[sent:])
    while not (tmp_path / "log.txt").read_bytes():
        os.sched_yield()
    log.close_pipe()
    assert (tmp_path / "log.txt").read_bytes() == octets

"""Divides the capture of a run among its cases."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mta_sts_lab import pcapng
from mta_sts_lab.backends.capturing import KEY_LOG, PACKETS
from mta_sts_lab.backends.registry import TargetRefused, find_backend
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.captures import CAPTURES_FOLDER, capture_files
from mta_sts_lab.reports.writers import write_files


def check_captures(target: TargetFolder) -> None:
    """Raise `TargetRefused` for a target whose world has no packets."""
    if not find_backend(target.file.backend).captures:
        raise TargetRefused(
            f"--pcap: {target.name} runs inside of this program, where its world has no network of its own and no "
            "packets to capture; flows/ has what was said. Name a target in Docker or a program (--command ./mymta)"
        )


def divide_capture(played: Path, folder: Path) -> str:
    """Write the file of each case into the folder of a run, from the capture and the record in the folder of a play.

    The capture of the whole play is removed. Returns a remark if packets are missing, otherwise nothing. Raises
    `OSError` and `RecordError`.
    """
    whole, key_log = played / "target" / PACKETS, played / "target" / KEY_LOG
    with whole.open("rb") as file:
        capture = pcapng.read(file)
    write_files(folder, capture_files(capture.packets, key_log.read_bytes(), read_record(played / "record.jsonl")))
    whole.unlink()
    key_log.unlink()
    if capture.lost is None:
        return f"the capture ended before the run: packets are missing in {folder / CAPTURES_FOLDER}/"
    return f"{capture.lost} packets are missing in {folder / CAPTURES_FOLDER}/" if capture.lost else ""


def join_captures(folder: Path, folders: Sequence[Path]) -> None:
    """Copy the captures of several runs into the folder of one. Of a case that two have the first is taken."""
    for file in (file for one in folders for file in sorted((one / CAPTURES_FOLDER).glob("*.pcapng"))):
        place = folder / CAPTURES_FOLDER / file.name
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            shutil.copyfile(file, place)

"""Which reports are found in a file, and what everything else in it is called."""

from __future__ import annotations

import base64
import errno
import gzip
import io
import json
import os
import random
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.cli import report_inputs
from mta_sts_lab.cli.report_inputs import read_inputs
from mta_sts_lab.tlsrpt import files
from mta_sts_lab.tlsrpt.files import DMARC, NOT_A_REPORT, pieces

from .builder import Mail, changed, good, text

REPORT = text(good())
OTHER = text(changed(lambda report: report.update({"report-id": "another@sender.example"})))
MAIL = Mail().octets().replace(b"\r\n", b"\n")
LETTER = b"From: a@b.example\nTo: c@b.example\nSubject: lunch?\n\nAt noon.\n\nFrom now on at one.\n"
DMARC_XML = b'<?xml version="1.0"?>\n<feedback><report_metadata><org_name>x</org_name></report_metadata></feedback>'


def _mbox(*messages: bytes) -> bytes:
    return b"".join(b"From a@b.example Mon Mar  2 03:00:00 2026\n" + message + b"\n" for message in messages)


def _zip(**entries: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in entries.items():
            archive.writestr(name, octets)
    return packed.getvalue()


def _tar(kind: int = tarfile.DEFAULT_FORMAT, /, **entries: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, octets in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(octets)
            archive.addfile(entry, io.BytesIO(octets))
    return packed.getvalue()


def _attached(octets: bytes, kind: str = "application/octet-stream", name: str = "attached") -> bytes:
    head = b"From: a@b.example\nSubject: Fwd: a report\nMIME-Version: 1.0\n"
    head += b'Content-Type: multipart/mixed; boundary="forwarded"\n\n--forwarded\n\nlook\n--forwarded\n'
    head += f'Content-Type: {kind}\nContent-Disposition: attachment; filename="{name}"\n'.encode()
    return head + b"Content-Transfer-Encoding: binary\n\n" + octets + b"\n--forwarded--\n"


def _several(*attachments: tuple[str, bytes]) -> bytes:
    head = _attached(b"").partition(b"\n--forwarded\nContent-Type")[0]
    for name, octets in attachments:
        head += f'\n--forwarded\nContent-Disposition: attachment; filename="{name}"\n'.encode()
        head += b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(octets)
    return head + b"\n--forwarded--\n"


def _found(octets: bytes) -> list[tuple[str, bytes]]:
    """Return the reports and where they were; nothing else may have been in the file."""
    found = list(pieces(octets))
    assert not [one for one in found if one.other or one.unreadable]
    return [(one.place, one.octets) for one in found]


def _named(octets: bytes) -> list[str]:
    return [one.other or one.unreadable or "a report" for one in pieces(octets)]


class TestMailboxes:
    def test_an_mbox_gives_all_its_messages(self) -> None:
        found = _found(_mbox(MAIL, MAIL, MAIL))
        assert [place for place, _ in found] == ["message 1", "message 2", "message 3"]
        assert {octets.strip() for _, octets in found} == {MAIL.strip()}

    def test_an_mbox_of_one_message_is_that_message(self) -> None:
        assert [(place, octets.strip()) for place, octets in _found(_mbox(MAIL))] == [("", MAIL.strip())]

    def test_text_for_people_does_not_end_a_message(self) -> None:
        assert _named(_mbox(LETTER, MAIL)) == [NOT_A_REPORT, "a report"]

    def test_what_the_mailbox_quoted_is_unquoted(self) -> None:
        quoted = MAIL.replace(b"A report for programs", b">From here a report for programs")
        (one,) = _found(_mbox(quoted))
        assert b"\nFrom here a report" in one[1]


class TestArchives:
    @pytest.mark.parametrize("packed", [_zip(a=REPORT, b=MAIL), _tar(a=REPORT, b=MAIL)], ids=["zip", "tar"])
    def test_each_member_is_found(self, packed: bytes) -> None:
        assert _found(packed) == [("a", REPORT), ("b", MAIL)]
        assert _found(gzip.compress(packed)) == [("a", REPORT), ("b", MAIL)]

    @pytest.mark.parametrize(
        ("octets", "found"),
        [
            (MAIL, [("", MAIL)]),
            (_mbox(MAIL, LETTER), None),
            (REPORT + b"\n" + OTHER, [("report 1", REPORT), ("report 2", OTHER)]),
        ],
        ids=["mail", "mbox", "lines"],
    )
    def test_gzip_around_other_things_than_a_report(self, octets: bytes, found: list[tuple[str, bytes]] | None) -> None:
        if found is None:
            assert _named(gzip.compress(octets)) == ["a report", NOT_A_REPORT]
        else:
            assert _found(gzip.compress(octets)) == found

    def test_a_packed_report_is_left_to_the_parser(self) -> None:
        assert _found(gzip.compress(REPORT, mtime=0)) == [("", gzip.compress(REPORT, mtime=0))]

    def test_the_names_in_an_archive_are_kept(self) -> None:
        name = "sender.example!a.example!1772409600!1772495999.json"
        (one,) = pieces(_zip(**{f"folder/{name}": REPORT}))
        assert (one.place, one.file_name) == (f"folder/{name}", name)

    def test_an_encrypted_member_is_named(self) -> None:
        octets = bytearray(_zip(a=REPORT))
        octets[octets.index(b"PK\x01\x02") + 8] |= 1
        octets[6] |= 1
        assert _named(bytes(octets)) == ["encrypted: unpack it first"]

    @pytest.mark.parametrize(
        "octets",
        [_zip(a=REPORT)[:-30], _zip(a=REPORT * 9)[:90], _tar(a=REPORT * 9)[:700]],
        ids=["zip without its end", "zip cut in its data", "tar cut in its data"],
    )
    def test_a_damaged_archive_is_named(self, octets: bytes) -> None:
        assert "damaged" in " ".join(_named(octets))

    #: Where the second member of an archive of a small report begins, and where that archive ends.
    SECOND, END = 512 + len(REPORT) + -len(REPORT) % 512, 2 * (512 + len(REPORT) + -len(REPORT) % 512)

    @pytest.mark.parametrize(
        ("octets", "word"),
        [
            (
                _tar(a=REPORT, b=REPORT).replace(b"b\0", b"c\0", 1),
                f"no header can be read at octet {SECOND}",
            ),
            (_tar(a=REPORT, b=REPORT)[: SECOND + 200], "cut off"),
            (_tar(a=REPORT, b=REPORT)[:SECOND], "cut off"),
            (_tar(a=REPORT, b=REPORT)[:END], "cut off"),
            (_tar(a=REPORT) + _tar(b=REPORT), f"it ends at octet {SECOND}; what follows"),
            (_tar(a=REPORT)[: SECOND + 1024] + b"noise", f"it ends at octet {SECOND}; what follows"),
        ],
        ids=["damaged header", "cut in a header", "cut before a header", "cut before its end", "joined", "noise"],
    )
    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_a_tar_archive_that_does_not_end_as_it_has_to_is_named(
        self, octets: bytes, word: str, packed: bool
    ) -> None:
        *reports, end = _named(gzip.compress(octets) if packed else octets)
        assert set(reports) == {"a report"}
        assert end.startswith("a damaged tar archive (")
        assert word in end

    def test_a_tar_archive_of_the_oldest_kind_has_no_mark(self) -> None:
        octets = bytearray(_tar(tarfile.USTAR_FORMAT, a=REPORT))
        octets[257:512] = bytes(255)
        octets[148:156] = b" " * 8
        octets[148:156] = b"%06o\0 " % sum(octets[:512])
        assert _found(bytes(octets)) == [("a", REPORT)]
        octets[148:156] = b"000000\0 "
        assert [place for place, _ in _found(bytes(octets))] == [""]

    @pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    @pytest.mark.parametrize("blocks", [1, 2, 20, 128])
    def test_a_tar_archive_ends_in_as_many_blocks_as_its_writer_likes(self, kind: int, blocks: int) -> None:
        octets = _tar(kind, **{"a": REPORT, "b" * 300 if kind != tarfile.USTAR_FORMAT else "b": REPORT})
        octets = octets.rstrip(b"\0")
        octets += bytes(-len(octets) % 512) + bytes(512 * blocks)
        assert [found for _, found in _found(octets)] == [REPORT, REPORT]


class TestMail:
    def test_a_report_in_a_forwarded_message_is_found(self) -> None:
        assert [octets.strip() for _, octets in _found(_attached(MAIL, "message/rfc822", "report.eml"))] == [
            MAIL.strip()
        ]

    def test_a_report_in_an_attached_archive_is_found(self) -> None:
        (one,) = _found(_attached(_zip(a=REPORT), "application/zip", "reports.zip"))
        assert one == ("attached reports.zip, a", REPORT)

    def test_a_mail_that_claims_to_be_a_report_is_one(self) -> None:
        assert _found(MAIL) == [("", MAIL)]

    @pytest.mark.parametrize(
        "octets",
        [DMARC_XML, gzip.compress(DMARC_XML), _zip(a=DMARC_XML), _attached(gzip.compress(DMARC_XML), "application/gzip"),
         _attached(DMARC_XML, "text/xml"), _attached(_zip(a=DMARC_XML), "application/zip")],
        ids=["xml", "gz", "zip", "mail gz", "mail xml", "mail zip"],
    )  # fmt: skip
    def test_a_dmarc_report_is_named_as_such(self, octets: bytes) -> None:
        assert _named(octets) == [DMARC]

    def test_other_mail_is_named(self) -> None:
        bounce = LETTER.replace(
            b"Subject", b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\nSubject"
        )
        assert _named(LETTER) == [NOT_A_REPORT]
        assert "delivery status" in _named(bounce)[0]

    def test_attachments_of_other_mail_are_left_alone(self) -> None:
        document = _zip(**{"word/document.xml": b"<document/>", "notes.txt": b"notes"})
        for octets in (document, _zip(a=b"x")[:-30], b'{"name": "a package"}'):
            assert _named(_attached(octets, "application/json", "x.json")) == [NOT_A_REPORT]
        many = b"--forwarded\n\nx\n" * 100
        assert _named(_attached(many, "text/plain")) == [NOT_A_REPORT]

    def test_a_report_as_any_other_attachment_is_graded_with_its_mail(self) -> None:
        octets = _attached(REPORT, "application/json", "report.json")
        assert _found(octets) == [("", octets)]

    def test_reports_beside_an_archive_are_found(self) -> None:
        packed = gzip.compress(OTHER, mtime=0)
        octets = _several(("march.zip", _zip(a=REPORT)), ("b.json.gz", packed), ("c.json", OTHER))
        assert _found(octets) == [
            ("attached march.zip, a", REPORT),
            ("attached b.json.gz", packed),
            ("attached c.json", OTHER),
        ]

    def test_a_report_beside_one_of_dmarc_is_found(self) -> None:
        for kind in (_zip(a=DMARC_XML), gzip.compress(DMARC_XML), DMARC_XML):
            found = list(pieces(_several(("dmarc", kind), ("b.json", REPORT), ("c.json", b'{"name": "a package"}'))))
            assert [(one.other, one.octets) for one in found] == [(DMARC, b""), ("", REPORT)]

    @pytest.mark.parametrize(
        "octets",
        [
            _attached(_zip(a=b"x")[:-30], name="tls-reports.zip"),
            _attached(_zip(a=b"x")[:-30]).replace(b"Fwd: a report", b"TLSRPT of March"),
            _attached(_zip(tlsrpt=b"x")[:-30]),
            _attached(_tar(a=REPORT, b=REPORT)[:700]),
            _attached(_tar(a=REPORT, b=b"x")[:1700]),
            _attached(_attached(_zip(a=b"x")[:-30], name="tls-reports.zip"), "message/rfc822"),
        ],
        ids=["its name", "subject", "a member's name", "what is in it", "a report before the damage", "forwarded"],
    )
    def test_a_damaged_archive_of_reports_is_named(self, octets: bytes) -> None:
        *reports, end = _named(octets)
        assert set(reports) <= {"a report"}
        assert end.startswith("a damaged ")


class TestJson:
    def test_json_lines_are_as_many_reports(self) -> None:
        assert _found(REPORT + b"\n" + OTHER + b"\n") == [("report 1", REPORT), ("report 2", OTHER)]

    def test_an_array_of_reports_is_as_many_reports(self) -> None:
        found = list(pieces(b"[" + REPORT + b", " + OTHER + b"]"))
        assert [one.octets for one in found] == [REPORT, OTHER]
        assert all("an array of 2 JSON objects" in one.note for one in found)

    def test_brackets_in_strings_count_for_nothing(self) -> None:
        report = json.dumps({"organization-name": 'a ] } { [ " \\'}).encode()
        assert _found(b"[" + report + b"]") == [("report 1", report)]

    @pytest.mark.parametrize("octets", [REPORT, REPORT[:-1], b"[1, 2]", b"[" + REPORT, REPORT + b"}"])
    def test_anything_else_is_left_to_the_parser(self, octets: bytes) -> None:
        assert _found(octets) == [("", octets)]

    def test_json_out_of_a_web_page_is_named(self) -> None:
        assert "&quot;" in _named(REPORT.replace(b'"', b"&quot;"))[0]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("mail", [MAIL, _mbox(MAIL)], ids=["mail", "mbox"])
    def test_mail_that_an_editor_saved_is_read(self, mail: bytes, encoding: str) -> None:
        (one,) = pieces(mail.decode().encode(encoding))
        assert one.octets.strip() == MAIL.strip()
        assert "byte order mark" in one.note

    def test_json_keeps_its_mark_for_the_grader(self) -> None:
        octets = REPORT.decode().encode("utf-16")
        assert _found(octets) == [("", octets)]


class TestBounds:
    def test_depth(self) -> None:
        octets = REPORT
        for _ in range(files.DEEPEST_FILE + 2):
            octets = _zip(a=octets)
        assert "packed or forwarded more than" in _named(octets)[-1]

    def test_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MOST_PIECES", 3)
        assert "more than 3 reports" in _named(_mbox(*[MAIL] * 5))[-1]
        assert len(_named(_mbox(*[MAIL] * 5))) == 4

    def test_size_of_everything_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "LARGEST_FILE", 3 << 20)
        blanks = b" " * (1 << 20)
        several = _named(_zip(a=blanks, b=blanks, c=blanks, d=blanks, e=blanks))
        assert [("MiB" in one) for one in several] == [False, False, False, True]
        assert "MiB" in _named(gzip.compress(_mbox(LETTER + random.Random(1).randbytes(4 << 20).hex().encode())))[-1]

    @pytest.mark.parametrize(
        "octets",
        [b"From " * 400_000, b"[" * 1_000_000, b'[{"' * 400_000, b"{}" * 400_000, b"From a 03:00\n\n" * 100_000],
        ids=["From", "brackets", "strings", "objects", "messages"],
    )  # fmt: skip
    def test_time(self, octets: bytes) -> None:
        began = time.process_time()
        assert len(_named(octets)) <= files.MOST_PIECES + 1
        assert time.process_time() - began < 30

    @pytest.mark.parametrize("end", [b"", b"\\", b'"'])
    def test_a_string_without_end_is_looked_at_once(self, end: bytes) -> None:
        octets = b'[{"' + b'\\"' * 500_000 + end
        began = time.process_time()
        assert _found(octets) == [("", octets)]
        assert time.process_time() - began < 10

    def test_members_of_an_archive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MOST_PIECES", 3)
        four = dict.fromkeys("abcd", REPORT)
        assert _named(_zip(**four)) == ["the archive has more than 3 members"]
        assert "more than 3" in _named(_tar(**four))[-1]

    @given(st.sampled_from([MAIL, _mbox(MAIL, LETTER), _zip(a=REPORT), _tar(a=REPORT), gzip.compress(_mbox(MAIL))]),
           st.integers(0, 4000), st.binary(max_size=8))  # fmt: skip
    def test_damage_never_raises(self, octets: bytes, at: int, noise: bytes) -> None:
        assert _named(octets[:at] + noise + octets[at + len(noise) :])


class TestInputs:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("cur/1:2,S", "new/2", "tmp/3", ".Sent/cur/4", "a.json", "b.json", ".hidden"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return tmp_path

    def _names(self, folder: Path, *names: str) -> list[str]:
        found = list(read_inputs([str(folder / name) for name in names]))
        assert all(one.octets.decode() in one.name for one in found)
        return [one.octets.decode() for one in found]

    def test_folders_and_maildirs_are_read_with_all_below_them(self, folder: Path) -> None:
        assert self._names(folder, ".") == ["a.json", "b.json", ".Sent/cur/4", "cur/1:2,S", "new/2"]

    def test_globs_that_no_shell_expanded(self, folder: Path) -> None:
        assert self._names(folder, "*.json") == ["a.json", "b.json"]

    def test_globs_find_what_lies_deeper_and_folders_with_all_below_them(self, folder: Path) -> None:
        (folder / "2026" / "01").mkdir(parents=True)
        (folder / "2026" / "01" / "5").write_bytes(b"2026/01/5")
        assert self._names(folder, "**/[3-5]") == ["2026/01/5", "tmp/3"]
        assert self._names(folder, "[cn]*") == ["cur/1:2,S", "new/2"]

    def test_a_name_that_looks_like_a_glob_is_a_name_first(self, folder: Path) -> None:
        for name in ("[1].json", "1.json"):
            (folder / name).write_bytes(name.encode())
        assert self._names(folder, "[1].json") == ["[1].json"]

    def test_of_a_folder_only_regular_files_are_read(self, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        (folder / "link").symlink_to(folder / "nowhere")
        assert self._names(folder, ".") == ["a.json", "b.json", ".Sent/cur/4", "cur/1:2,S", "new/2"]

    def test_of_a_folder_links_to_files_are_followed(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "c.json").write_bytes(b"c.json")
        (folder / "c.json").symlink_to(elsewhere / "c.json")
        (folder / "d").symlink_to(elsewhere)
        (folder / "e.json").symlink_to(folder / "a.json")
        assert self._names(folder, ".") == ["a.json", "b.json", "c.json", ".Sent/cur/4", "cur/1:2,S", "new/2"]

    def test_a_folder_that_cannot_be_entered_is_named(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shut, scandir = str(folder / "cur"), os.scandir

        def refused(path: str) -> object:
            if path == shut:
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refused)
        found = [(Path(one.name).name, one.problem) for one in read_inputs([str(folder)])]
        assert [name for name, problem in found if not problem] == ["a.json", "b.json", "4", "2"]
        assert found[-1] == ("cur", "cannot be read: Permission denied")
        assert [one.problem for one in read_inputs([shut])] == ["cannot be read: Permission denied"]

    def test_a_file_that_cannot_be_looked_at_is_no_reason_to_pass_it_over(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shut, moved = str(folder / "cur" / "1:2,S"), str(folder / "a.json")

        def looking(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
            def refused(path: str, **options: object) -> os.stat_result:
                if path == moved:
                    Path(moved).unlink(missing_ok=True)
                if path == shut:
                    raise PermissionError(errno.EACCES, "Permission denied", path)
                return look(path, **options)

            return refused

        for name in ("stat", "lstat"):
            monkeypatch.setattr(os, name, looking(getattr(os, name)))
        found = {one.name: one.problem for one in read_inputs([str(folder)])}
        assert found[shut] == ""
        assert found[moved] == "cannot be read: No such file or directory"

    def test_each_file_is_read_once(self, folder: Path) -> None:
        assert self._names(folder, "a.json", "*.json", "a.json") == ["a.json", "b.json"]

    def test_what_cannot_be_read_is_said_and_stops_nothing(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(report_inputs, "LARGEST_FILE", 8 << 20)
        (folder / "big").write_bytes(bytes((8 << 20) + 1))
        found = list(read_inputs([str(folder / name) for name in ("none", "none-*.json", "big", "a.json")]))
        assert [one.problem for one in found[:2]] == [
            "cannot be read: No such file or directory",
            "no file matches it",
        ]
        assert found[2].problem == "more than 8 MiB: split it first"
        assert (found[3].octets, found[3].problem) == (b"a.json", "")

    def test_a_large_file_in_a_folder_is_a_matter_only_if_it_may_hold_reports(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_inputs, "LARGEST_FILE", 8 << 20)
        (tmp_path / "a mailbox").write_bytes(b"From a@b.example Mon Mar  2 03:00:00 2026\n" + bytes(8 << 20))
        (tmp_path / "film").write_bytes(bytes(9 << 20))
        assert [bool(one.problem) for one in read_inputs([str(tmp_path)])] == [True, False]
        assert [bool(one.problem) for one in read_inputs([str(tmp_path / "film")])] == [True]

    def test_the_number_of_files_is_bounded(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(report_inputs, "MOST_FILES", 2)
        assert [one.problem for one in read_inputs([str(folder)])] == [
            "",
            "",
            "more than 2 files: the rest was not read",
        ]

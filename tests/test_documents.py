"""Links inside the documents, and from the program's messages to them, lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from mta_sts_lab.adapter_check import Status
from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.cli.commands import app
from mta_sts_lab.documents import Document, documents
from mta_sts_lab.judge.known_failures import matches, read_known_failures
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm
from mta_sts_lab.reports.glossary import LEVELS
from mta_sts_lab.runs import load_shipped_catalogue
from typer.core import TyperGroup

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md")))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def _anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub and GitLab give to the headings of a document, and the short names in its tables."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return set(Document(document.stem, document).sections) | set(
        re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for place, anchor in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), f"{document.name}: {place}"
        assert not anchor or anchor in _anchors(target), f"{document.name}: {place}#{anchor}"


def test_messages_name_sections_that_are_written_down() -> None:
    sources = [*(ROOT / "lab").rglob("*.py"), *(ROOT / "scenarios").rglob("*.toml")]
    named = {
        (name, section)
        for path in sources
        for name, section in re.findall(
            r"(?:docs/|sts-lab docs )([\w-]+?)(?:\.md)?#([\w-]+)", path.read_text(encoding="utf-8")
        )
    }
    known = documents()
    assert {f"{name}#{section}" for name, section in named if known[name].section(section) is None} == set()
    assert len(named) > 20


def test_a_section_ends_at_the_next_heading_that_is_not_below_it(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# Page\n\n## One, two\n\nText.\n\n```sh\n# no heading\n```\n\n### Below\n\nMore.\n\n## Next\n\nLast.\n"
    )
    document = Document("page", path)
    assert document.title == "Page"
    assert document.sections == ("page", "one-two", "below", "next")
    assert document.section("one-two") == "## One, two\n\nText.\n\n```sh\n# no heading\n```\n\n### Below\n\nMore.\n"
    assert document.section("below") == "### Below\n\nMore.\n"
    assert document.section("next") == "## Next\n\nLast.\n"
    assert document.section("no-heading") is None


def test_messages_name_documents_that_exist() -> None:
    sources = [*(ROOT / "lab").rglob("*.py"), *(ROOT / "docker").rglob("*.toml")]
    pattern = r"\b(?:docs/([\w-]+)\.md|`sts-lab docs ([\w-]+)`)"
    found = (pair for path in sources for pair in re.findall(pattern, path.read_text(encoding="utf-8")))
    named = {name or other for name, other in found}
    assert named <= set(documents())
    assert named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, rest in re.findall(r"\bsts-lab ([a-z][a-z-]*)([^\n`|#]*)", document.read_text(encoding="utf-8")):
        assert name in group.commands, f"sts-lab {name}"
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", re.sub(r"'[^']*'|\"[^\"]*\"", "", rest))) <= options | {"--help"}, (
            f"sts-lab {name}{rest}"
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_demonstrations_in_documents_exist(document: Path) -> None:
    names = {path.stem for path in (ROOT / "scenarios").glob("*/*.toml")}
    shown = set(re.findall(r"\bmake scenario-([a-z][a-z-]*)", document.read_text(encoding="utf-8")))
    assert shown <= names


def test_the_glossary_has_the_words_of_the_output() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = {*Grade, *(harm for harm in Harm if harm), *Outcome, *Mode, *LEVELS, *Status}
    assert not {str(word) for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_documents_exist(document: Path) -> None:
    named = re.findall(r"`((?:lab|tests|docs|docker|scenarios)/[\w./-]+)`", document.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_architecture_names_every_part() -> None:
    parts = {path.stem for path in (ROOT / "lab" / "mta_sts_lab").iterdir() if not path.name.startswith("_")}
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert parts == {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_findings_for_authors_are_known_failures_of_shipped_targets() -> None:
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    shipped, cases = shipped_targets(), load_shipped_catalogue().cases
    shown = re.findall(r"^   `sts-lab run --target (\S+) '([^']+)'`$", text, re.MULTILINE)
    assert len(shown) == len(re.findall(r"^\d\. \*", text, re.MULTILINE)), "each finding has a command"
    for target, case in shown:
        assert case in cases
        folder = shipped[target]
        files = [folder.known_failures, *([folder.inherited_failures] if folder.inherited_failures else [])]
        listed = [known for file in files for known in read_known_failures(file)]
        assert any(matches(known.case, case) for known in listed), f"{target} {case}"


def test_each_mail_server_has_up_to_five_findings() -> None:
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    for part in text.split("\n## ")[1:]:
        assert 1 <= len(re.findall(r"^\d\. \*", part, re.MULTILINE)) <= 5, part[:40]


def test_ambiguities_have_names_and_no_numbers() -> None:
    for path in [*(ROOT / "lab").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "scenarios").rglob("*.toml")]:
        assert not re.findall(r"\bA(?:0[1-9]|[1-6]\d|7[0-2])\b", path.read_text(encoding="utf-8")), path

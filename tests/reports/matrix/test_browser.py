"""The page in a real browser: it opens, is walked with the keyboard, shows its evidence, and asks nothing of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path, PurePath

import pytest
from mta_sts_lab.model import Mode
from mta_sts_lab.reports.matrix.evidence import Source, evidence_of
from mta_sts_lab.reports.matrix.page import matrix_html
from mta_sts_lab.reports.matrix.table import matrix_of

from tests.reports.matrix.chromium import Page, chromium
from tests.reports.matrix.judged import judged, strip_run
from tests.reports.matrix.test_page import ATTACK, LOG
from tests.reports.records import REQUIREMENTS, case_id

LEAKING = case_id(Mode.ENFORCE)

#: What is under the focus, in words: its label, and where it stands.
FOCUS = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"

PANEL = "document.getElementById('evidence')"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two targets: one that gives in, and one that holds and calls itself something dangerous."""
    leaking, run = strip_run(leaking_enforce=True)
    held, other = strip_run(leaking_enforce=False)
    hostile = judged(other.verdicts, target=ATTACK, run="20260303-093000-c0ffee")
    matrix = matrix_of([run, hostile])
    records = {run.run: (run, leaking), hostile.run: (hostile, held)}
    sources = [Source(*records[column.run.run], LOG, PurePath("runs") / column.run.run) for column in matrix.columns]
    path = tmp_path / "matrix.html"
    path.write_text(matrix_html(matrix, lambda number: evidence_of(sources[number]), REQUIREMENTS), encoding="utf-8")
    return path


@pytest.fixture
async def page(file: Path) -> AsyncIterator[Page]:
    """The page, open on a desk. Whatever it complains of, or asks for, fails the test that used it."""
    async with chromium() as page:
        await page.open(file.as_uri())
        yield page
        assert page.complaints == []
        assert {address.partition("#")[0] for address in page.requests} == {file.as_uri()}, "the network was left alone"


async def _open_first_finding(page: Page) -> None:
    await page.value("document.querySelector('#matrix button').focus()")
    await page.press("Enter")
    await page.until(f"!{PANEL}.hidden")


async def test_a_walk_with_the_keyboard(page: Page) -> None:
    await page.press("Tab")
    assert await page.value("document.activeElement.textContent") == "Go to the matrix"
    await page.press("Enter")
    await page.press("Tab")
    assert await page.value(FOCUS) == "find", "the controls come first"
    for _ in range(3):
        await page.press("Tab")
    assert await page.value(FOCUS) == f"{LEAKING}, postfix, fail, read-in-clear"
    await page.press("ArrowRight")
    assert (await page.value(FOCUS)).startswith(f"{LEAKING}, {ATTACK[:9]}"), "and hostile names are only names"
    assert (await page.value(FOCUS)).endswith(", pass")
    await page.press("ArrowDown")
    assert (await page.value(FOCUS)).startswith(f"{case_id(Mode.TESTING)}, ")
    await page.press("End", control=True)
    assert (await page.value(FOCUS)).startswith(f"{case_id(Mode.ABSENT)}, ")
    await page.press("F", shift=True)
    assert await page.value(FOCUS) == f"{LEAKING}, postfix, fail, read-in-clear"
    assert await page.value("document.querySelectorAll('#matrix button[tabindex=\"0\"]').length") == 1


async def test_a_cell_opens_its_evidence_and_closes_again(page: Page) -> None:
    await _open_first_finding(page)
    text = await page.value(f"{PANEL}.innerText")
    for expected in (
        LEAKING,
        "Delivered in clear and read by the attacker.",
        "strip_starttls on smtp",
        "STS-5-03 (MUST NOT, RFC 8461 section 5): Under enforce, the sender hands no message",
        "nobody but the genuine host can read the message",
        "EHLO mta.sender.example",
        "removed by the attacker: 250-STARTTLS",
        "Untrusted TLS connection to mx1.k7en.example",
        "sts-lab run 'starttls/strip[enforce]' --target postfix",
        "runs/20260302-093000-c0ffee/record.jsonl",
    ):
        assert expected in text
    assert await page.value(f"{PANEL}.querySelector('.lines .attack del').textContent") == "250-STARTTLS"
    await page.press("ArrowRight")
    await page.until(f"{PANEL}.innerText.includes('Deferred, nothing leaked')")
    await page.press("Escape")
    assert await page.value(f"{PANEL}.hidden")
    assert (await page.value(FOCUS)).endswith(", pass"), "the focus is back in the cell that was shown last"


async def test_an_event_that_is_cited_is_shown(page: Page) -> None:
    await _open_first_finding(page)
    await page.value(f"{PANEL}.querySelector('input[value=story]').click()")
    cited = await page.value(f"{PANEL}.querySelector('.judgement a').textContent")
    await page.value(f"{PANEL}.querySelector('.judgement a').click()")
    assert await page.value(FOCUS) == f"line-{cited}"
    assert await page.value("document.activeElement.offsetParent !== null")


async def test_a_view_shows_more_or_less_of_the_dialogue(page: Page) -> None:
    await _open_first_finding(page)
    shown = []
    for view in ("story", "dialogue", "everything"):
        await page.value(f"{PANEL}.querySelector('input[value={view}]').click()")
        shown.append(
            await page.value("[...document.querySelectorAll('.lines li')].filter(line => line.offsetParent).length")
        )
    assert 0 < shown[0] < shown[1] < shown[2]


async def test_the_address_of_a_piece_of_evidence(page: Page, file: Path) -> None:
    await _open_first_finding(page)
    address = await page.value("location.href")
    await page.press("Escape")
    await page.open("about:blank")
    page.requests.clear()
    await page.open(address)
    await page.until(f"!{PANEL}.hidden")
    assert await page.value(f"{PANEL}.querySelector('h2').textContent") == LEAKING
    for broken in ("#%", "#no-such-run/no-such-case", "#line-7"):
        await page.open("about:blank")
        page.requests.clear()
        await page.open(file.as_uri() + broken)
        assert await page.value(f"{PANEL}.hidden")


async def test_finding_and_choosing_rows(page: Page) -> None:
    visible = "[...document.querySelectorAll('tr.case')].filter(row => !row.hidden).length"
    assert await page.value(visible) == 4
    await page.press("/")
    assert await page.value(FOCUS) == "find"
    await page.write("strip read-in-clear")
    await page.until(f"{visible} === 1")
    assert await page.value("document.getElementById('shown').textContent") == "1 of 4 cases"
    await page.value("document.getElementById('find').value = ''")
    for choice, rows in (("findings", 1), ("different", 1), ("all", 4)):
        await page.value(
            f"(select => {{ select.value = '{choice}'; select.dispatchEvent(new Event('change')) }})(document.getElementById('which'))"
        )
        assert await page.value(visible) == rows


async def test_nothing_hostile_ran_or_was_made(page: Page) -> None:
    await page.value("document.querySelectorAll('#matrix button')[1].click()")
    await page.until(f"!{PANEL}.hidden")
    assert await page.value("document.querySelectorAll('img, iframe, object').length") == 0
    assert await page.value(f"{PANEL}.querySelectorAll('script').length") == 0
    assert "<img src=x" in await page.value(f"{PANEL}.innerText")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desk", "telephone"])
async def test_it_fits_the_window_in_dark_and_in_light(page: Page, width: int, height: int) -> None:
    papers = set()
    for dark in (False, True):
        await page.resize(width, height)
        await page.colours(dark)
        await _open_first_finding(page)
        assert await page.value("document.documentElement.scrollWidth") <= width
        assert await page.value(f"{PANEL}.scrollWidth <= {PANEL}.clientWidth"), "no line of evidence is cut"
        papers.add(await page.value("getComputedStyle(document.documentElement).backgroundColor"))
        await page.press("Escape")
    assert len(papers) == 2


async def test_on_paper(page: Page) -> None:
    plain = await page.printed()
    await _open_first_finding(page)
    assert plain.startswith(b"%PDF-")
    with_evidence = await page.printed()
    assert with_evidence.count(b"/Type /Page\n") > plain.count(b"/Type /Page\n"), "the evidence follows on its own page"

"""The page in a real browser: it opens, is walked with the keyboard, shows its evidence, and asks nothing of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pytest
import pytest_asyncio
from mta_sts_lab.model.case import Mode
from mta_sts_lab.reports.matrix.evidence import Source, evidence_of
from mta_sts_lab.reports.matrix.page import matrix_html
from mta_sts_lab.reports.matrix.table import matrix_of
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.reports.browser import chromium
from tests.reports.matrix.judged import judged, strip_run
from tests.reports.matrix.test_page import ATTACK, LOG
from tests.reports.records import REQUIREMENTS, case_id

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("matrix-browser")]

LEAKING = case_id(Mode.ENFORCE)

#: What is under the focus, in words: its label, and where it stands.
FOCUS = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"

# The page forbids `eval`, by which Playwright's `wait_for_function` looks a second time: waits name elements instead.
PANEL = "document.getElementById('evidence')"

#: Milliseconds. A page of twenty thousand cells opens in two seconds on an idle machine.
LONGEST = 60_000


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


@dataclass
class Opened:
    """The page in a browser, and everything that it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Yield one browser for all tests of this module."""
    async with async_playwright() as playwright:
        # Containers have a small /dev/shm, and a browser that fills it crashes.
        options = ["--disable-dev-shm-usage", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=chromium(), args=options, timeout=LONGEST)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def opened(browser: Browser, file: Path) -> AsyncIterator[Opened]:
    """Yield the page, open in a browser. Whatever it complains of, or asks for, fails the test that used it."""
    opened = Opened(await browser.new_page())
    opened.page.set_default_timeout(LONGEST)
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    await opened.page.goto(file.as_uri())
    yield opened
    await opened.page.close()
    assert opened.complaints == []
    asked = {address.partition("#")[0] for address in opened.requests} - {"about:blank"}
    assert asked == {file.as_uri()}, "the network was left alone"


@pytest.fixture
def page(opened: Opened) -> Page:
    """Return the page alone."""
    return opened.page


async def _open_first_finding(page: Page) -> None:
    await page.evaluate("document.querySelector('#matrix button').focus()")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#evidence:not([hidden])")


async def test_a_walk_with_the_keyboard(page: Page) -> None:
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Go to the matrix"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate(FOCUS) == "find", "the controls come first"
    for _ in range(3):
        await page.keyboard.press("Tab")
    assert await page.evaluate(FOCUS) == f"{LEAKING}, postfix, fail, read-in-clear"
    await page.keyboard.press("ArrowRight")
    assert (await page.evaluate(FOCUS)).startswith(f"{LEAKING}, {ATTACK[:9]}"), "and hostile names are only names"
    assert (await page.evaluate(FOCUS)).endswith(", pass")
    await page.keyboard.press("ArrowDown")
    assert (await page.evaluate(FOCUS)).startswith(f"{case_id(Mode.TESTING)}, ")
    await page.keyboard.press("Control+End")
    assert (await page.evaluate(FOCUS)).startswith(f"{case_id(Mode.ABSENT)}, ")
    await page.keyboard.press("Shift+F")
    assert await page.evaluate(FOCUS) == f"{LEAKING}, postfix, fail, read-in-clear"
    assert await page.evaluate("document.querySelectorAll('#matrix button[tabindex=\"0\"]').length") == 1


async def test_a_cell_opens_its_evidence_and_closes_again(page: Page) -> None:
    await _open_first_finding(page)
    text = await page.evaluate(f"{PANEL}.innerText")
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
    assert await page.evaluate(f"{PANEL}.querySelector('.lines .attack del').textContent") == "250-STARTTLS"
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#evidence")).to_contain_text("Deferred, nothing leaked", use_inner_text=True)
    await page.keyboard.press("Escape")
    assert await page.evaluate(f"{PANEL}.hidden")
    assert (await page.evaluate(FOCUS)).endswith(", pass"), "the focus is back in the cell that was shown last"


async def test_an_event_that_is_cited_is_shown(page: Page) -> None:
    await _open_first_finding(page)
    await page.evaluate(f"{PANEL}.querySelector('input[value=story]').click()")
    cited = await page.evaluate(f"{PANEL}.querySelector('.judgement a').textContent")
    await page.evaluate(f"{PANEL}.querySelector('.judgement a').click()")
    assert await page.evaluate(FOCUS) == f"line-{cited}"
    assert await page.evaluate("document.activeElement.offsetParent !== null")


async def test_a_view_shows_more_or_less_of_the_dialogue(page: Page) -> None:
    await _open_first_finding(page)
    shown = []
    for view in ("story", "dialogue", "everything"):
        await page.evaluate(f"{PANEL}.querySelector('input[value={view}]').click()")
        shown.append(
            await page.evaluate("[...document.querySelectorAll('.lines li')].filter(line => line.offsetParent).length")
        )
    assert 0 < shown[0] < shown[1] < shown[2]


async def test_the_address_of_a_piece_of_evidence(page: Page, file: Path) -> None:
    await _open_first_finding(page)
    address = await page.evaluate("location.href")
    await page.keyboard.press("Escape")
    await page.goto("about:blank")
    await page.goto(address)
    await page.wait_for_selector("#evidence:not([hidden])")
    assert await page.evaluate(f"{PANEL}.querySelector('h2').textContent") == LEAKING
    for broken in ("#%", "#no-such-run/no-such-case", "#line-7"):
        await page.goto("about:blank")
        await page.goto(file.as_uri() + broken)
        assert await page.evaluate(f"{PANEL}.hidden")


async def test_finding_and_choosing_rows(page: Page) -> None:
    visible = "[...document.querySelectorAll('tr.case')].filter(row => !row.hidden).length"
    assert await page.evaluate(visible) == 4
    await page.keyboard.press("/")
    assert await page.evaluate(FOCUS) == "find"
    await page.keyboard.insert_text("strip read-in-clear")
    await expect(page.locator("tr.case:not([hidden])")).to_have_count(1)
    assert await page.evaluate("document.getElementById('shown').textContent") == "1 of 4 cases"
    await page.evaluate("document.getElementById('find').value = ''")
    for choice, rows in (("findings", 1), ("different", 1), ("all", 4)):
        await page.evaluate(
            f"(select => {{ select.value = '{choice}'; select.dispatchEvent(new Event('change')) }})(document.getElementById('which'))"
        )
        assert await page.evaluate(visible) == rows


async def test_nothing_hostile_ran_or_was_made(page: Page) -> None:
    await page.evaluate("document.querySelectorAll('#matrix button')[1].click()")
    await page.wait_for_selector("#evidence:not([hidden])")
    assert await page.evaluate("document.querySelectorAll('img, iframe, object').length") == 0
    assert await page.evaluate(f"{PANEL}.querySelectorAll('script').length") == 0
    assert "<img src=x" in await page.evaluate(f"{PANEL}.innerText")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["inbox", "telephone"])
async def test_it_fits_the_window_in_dark_and_in_light(page: Page, width: int, height: int) -> None:
    papers = set()
    protocol = await page.context.new_cdp_session(page)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    for dark in (False, True):
        await protocol.send("Emulation.setDeviceMetricsOverride", metrics)
        await page.emulate_media(color_scheme="dark" if dark else "light")
        await _open_first_finding(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(f"{PANEL}.scrollWidth <= {PANEL}.clientWidth"), "no line of evidence is cut"
        papers.add(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        await page.keyboard.press("Escape")
    assert len(papers) == 2


async def test_on_paper(page: Page) -> None:
    plain = await page.pdf(prefer_css_page_size=True)
    await _open_first_finding(page)
    assert plain.startswith(b"%PDF-")
    with_evidence = await page.pdf(prefer_css_page_size=True)
    assert with_evidence.count(b"/Type /Page\n") > plain.count(b"/Type /Page\n"), "the evidence follows on its own page"

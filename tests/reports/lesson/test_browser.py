"""The lesson page in a real browser: it is stepped through, by keys and by buttons, and asks nothing of anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from mta_sts_lab.reports.lesson.page import lesson_html
from playwright.async_api import Browser, Page, async_playwright

from tests.reports.browser import chromium

from .made import made_lesson

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("lesson-browser")]

LONGEST = 60_000
PANEL = ".case:not([hidden])"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--disable-dev-shm-usage", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=chromium(), args=options, timeout=LONGEST)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    """Yield the page, open on a projector. Whatever it complains of, or asks for, fails the test that used it."""
    file = tmp_path / "lesson.html"
    file.write_text(lesson_html(made_lesson()), encoding="utf-8")
    complaints: list[str] = []
    asked: list[str] = []
    opened = await browser.new_page(viewport={"width": 1024, "height": 768})
    opened.set_default_timeout(LONGEST)
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url.partition("#")[0]))
    await opened.goto(file.as_uri())
    yield opened
    await opened.close()
    assert complaints == []
    assert set(asked) == {file.as_uri()}


async def _shown(page: Page) -> int:
    """Return how many moments of the case are visible."""
    return int(await page.evaluate(f"document.querySelectorAll('{PANEL} g.m:not(.coming)').length"))


async def test_keys_and_buttons_step_and_go_back(page: Page) -> None:
    assert await _shown(page) == 0
    await page.keyboard.press("ArrowRight")
    await page.click("#step")
    assert await _shown(page) == 2
    assert "Step prime" in await page.inner_text(f"{PANEL} .said")
    await page.keyboard.press("ArrowLeft")
    assert await _shown(page) == 1
    await page.keyboard.press("End")
    assert await page.is_visible(f"{PANEL} .conclusion")
    assert "the mail was still readable" in await page.inner_text(f"{PANEL} .conclusion")
    assert await page.is_disabled("#step")
    await page.click("#first")
    assert await _shown(page) == 0


async def test_modes_are_tabs_for_keys_and_readers(page: Page) -> None:
    await page.keyboard.press("4")
    assert await page.get_attribute("#tab-3", "aria-selected") == "true"
    assert "mode enforce" in await page.inner_text(f"{PANEL} h2")
    await page.focus("#tab-3")
    await page.keyboard.press("ArrowLeft")
    assert await page.evaluate("document.activeElement.id") == "tab-2"
    assert await page.evaluate("document.querySelectorAll('.case:not([hidden])').length") == 1


async def test_the_moment_is_told_in_words_with_what_the_attacker_has(page: Page) -> None:
    await page.keyboard.press("1")
    await page.evaluate(f"[...document.querySelectorAll('{PANEL} .said li')].at(-1).click()")
    now = f"{PANEL} .now"
    assert await page.get_attribute(now, "aria-live") == "polite"
    assert "Subject: The figures" in await page.inner_text(f"{PANEL} .held")
    read = f"[...document.querySelectorAll('{PANEL} .said li')].find(one => one.dataset.quoted?.includes('Subject'))"
    await page.evaluate(f"{read}.click()")
    assert "For your eyes only." in await page.inner_text(now)
    assert not await page.is_visible(f"{now} .note")
    await page.keyboard.press("n")
    assert await page.is_visible(f"{now} .note")


async def test_it_plays_and_stops(page: Page) -> None:
    await page.select_option("#speed", "700")
    await page.keyboard.press("p")
    await page.wait_for_selector(f'{PANEL} .said li[data-m="2"]:not(.coming)')
    await page.keyboard.press("p")
    assert await page.get_attribute("#play", "aria-pressed") == "false"


async def test_its_address_leads_back_to_the_moment(page: Page) -> None:
    await page.keyboard.press("2")
    await page.keyboard.press("ArrowRight")
    address = await page.evaluate("location.href")
    assert address.endswith("#2.1")
    await page.reload()
    assert (await _shown(page), await page.get_attribute("#tab-1", "aria-selected")) == (1, "true")


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1440, 900), (390, 844)])
async def test_it_fits_the_window_in_dark_and_in_light(page: Page, width: int, height: int) -> None:
    await page.set_viewport_size({"width": width, "height": height})
    papers = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.keyboard.press("4")
        for place in ("Home", "ArrowRight", "End"):
            await page.keyboard.press(place)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            assert await page.is_visible("#step")
        papers.add(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert len(papers) == 2
    letter = await page.evaluate(f"document.querySelector('{PANEL} .label').getBoundingClientRect().height")
    assert letter >= (18 if width >= 1024 else 9), "from the last row"


async def test_on_paper_all_modes_are_slides(page: Page) -> None:
    await page.emulate_media(media="print")
    assert await page.is_visible("#case-0 .slide")
    assert await page.evaluate("[...document.querySelectorAll('.slide svg')].every(one => one.clientHeight < 700)")
    assert not await page.is_visible("#controls")
    paper = await page.pdf(prefer_css_page_size=True)
    assert paper.count(b"/Type /Page\n") >= 12

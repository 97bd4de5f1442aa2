"""The browser of the machine, for the tests of pages."""

from __future__ import annotations

import os
import shutil

import pytest


def chromium() -> str:
    """Return the browser. Without one the test is skipped, or fails where the browser is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("LAB_REQUIRE_CHROMIUM") == "1":
        pytest.fail("LAB_REQUIRE_CHROMIUM=1, and there is no Chromium: apt-get install chromium", pytrace=False)
    if found is None:
        pytest.skip("no Chromium is installed: the page was not opened in a browser")
    return found

"""The report in a real browser: it is quiet, asks the network for nothing, and fits the screen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from headgate.report import render
from tests.browser.chromium import FOUND, chromium, opened
from tests.headgate.stories import STORIES

pytestmark = pytest.mark.skipif(FOUND is None, reason="no chromium on this machine")

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDER_THAN_THE_SCREEN = """() => [...document.querySelectorAll("main *")]
    .filter(e => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + "." + e.className)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("name", STORIES)
def test_a_page_is_quiet_and_fits(browser: Browser, tmp_path: Path, name: str) -> None:
    page = tmp_path / f"{name}.html"
    page.write_bytes(render(STORIES[name]()))
    with opened(browser, page) as heard:
        for width, scheme in product((1400, 390), SCHEMES):
            heard.page.set_viewport_size({"width": width, "height": 900})
            heard.page.emulate_media(color_scheme=scheme)
            picture = tmp_path / f"{name}-{width}-{scheme}.png"
            heard.page.screenshot(path=picture, full_page=True)
            assert picture.stat().st_size > 20_000
            assert heard.page.evaluate(WIDER_THAN_THE_SCREEN) == []
            assert heard.page.locator("figure svg:visible").count() in {0, 4}
        assert heard.page.title()
        assert heard.complaints == []
        assert heard.requests == []


def test_a_script_in_a_name_stays_text(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    nasty = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    page.write_bytes(render(STORIES["rolled-back"]().model_copy(update={"model": nasty, "reason": nasty})))
    with opened(browser, page) as heard:
        assert "taken" not in heard.page.title().split(":")[0]
        assert heard.page.locator("h1").inner_text().startswith("<img")
        assert heard.complaints == []
        assert heard.requests == []

"""Open pages in the system's Chromium, and hear what they complain of and what they ask the network for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Request, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Opened:
    """A page that is open, and what was heard from it."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, the page itself left out."""

    def note(self, request: Request) -> None:
        """Remember what the page asks for."""
        if request.url != self.address:
            self.requests.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    assert FOUND, "install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=FOUND, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, address: str | Path, *, width: int = 1400, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """A page in its own context, loaded."""
    target = address.as_uri() if isinstance(address, Path) else address
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        heard = Opened(context.new_page(), target)
        heard.page.on("console", lambda message: heard.complaints.append(f"{message.type}: {message.text}"))
        heard.page.on("pageerror", lambda error: heard.complaints.append(str(error)))
        heard.page.on("request", heard.note)
        heard.page.goto(target)
        yield heard
    finally:
        context.close()

"""Prefect's UI as a person uses it: fill in a form by its labels, read what stands under a field, take a picture."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect
from playwright.sync_api import TimeoutError as NotInTime

SCREENS = Path(os.environ["HEADGATE_SCREENS"]) if "HEADGATE_SCREENS" in os.environ else None
"""Where pictures go that the documentation shows; nowhere, unless they shall be taken anew."""
COLOURS = 128
WIDTH, HEIGHT = 1280, 900
PATIENCE_MS, LOOK_MS = 120_000, 3_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Ui:
    """One page of the UI."""

    page: Page
    address: str

    def form(self, deployment: str) -> None:
        """Open the form that starts a run."""
        self.page.goto(f"{self.address}/deployments/deployment/{deployment}/run")
        expect(self.page.get_by_text("Validate parameters")).to_be_visible()

    def send(self, what: str = "create_flow_run") -> int:
        """Press the button; the status that was answered."""
        with self.page.expect_response(lambda answer: answer.url.endswith(what)) as told:
            self.page.get_by_role("button", name="Submit").click()
        return told.value.status

    def run(self, run: str) -> None:
        """Open a run, all of its time in sight."""
        self.page.goto(f"{self.address}/runs/flow-run/{run}")
        self.page.get_by_role("button", name="Recenter graph").click()

    def tab(self, name: str, shows: str) -> None:
        """Turn to a part of the page until it shows that; while the page fills, it turns back to its first part."""
        found = self.page.get_by_text(shows).first
        for _ in range(PATIENCE_MS // LOOK_MS):
            self.page.locator(".p-tab", has_text=name).click()
            with suppress(NotInTime):
                found.wait_for(timeout=LOOK_MS)
                return
        raise AssertionError(f"{name} does not show {shows}")

    def field(self, label: str) -> Locator:
        """The field of that label, whether it must be filled in or not."""
        exact = re.compile(rf"^{re.escape(label)}( \(Optional\))?$")
        found = self.page.locator(".schema-form-property__label", has_text=exact)
        return found.locator("xpath=ancestor::div[contains(concat(' ', @class, ' '), ' schema-form-property ')][1]")

    def fill(self, values: Mapping[str, str]) -> None:
        """Type into fields, or choose from them."""
        for label, value in values.items():
            field = self.field(label)
            if field.locator("textarea, input[type=text], input[type=number]").count():
                field.locator("textarea, input").first.fill(value)
            else:
                field.locator("button.p-select-button__control").press("Space")
                self.page.get_by_role("option", name=value, exact=True).click()

    def artifact(self, key: str) -> None:
        """Open the newest artifact of a key."""
        self.page.goto(f"{self.address}/artifacts/key/{key}")
        self.page.locator("a[href*='/artifacts/artifact/']").first.click()

    def add(self, label: str, items: list[str], *, after: int = 0) -> None:
        """Add items to a list that has so many."""
        field = self.field(label)
        for number, item in enumerate(items, start=after):
            field.get_by_role("button", name="Add item").click()
            field.locator("textarea").nth(number).fill(item)

    def picture(self, name: str, *, height: int = 900) -> None:
        """Take a picture for the documentation, with few colours, if pictures are wanted."""
        if SCREENS is None:
            return
        self.page.set_viewport_size({"width": WIDTH, "height": height})  # the UI scrolls inside of its page
        self.page.wait_for_timeout(1500)  # for what moves into its place
        SCREENS.mkdir(parents=True, exist_ok=True)
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(SCREENS / f"{name}.png", optimize=True)
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


@contextmanager
def ui_at(browser: Browser, address: str) -> Iterator[Ui]:
    """A page of its own."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(PATIENCE_MS)
    context.route(f"{address}/api/**", asked_again)
    try:
        yield Ui(context.new_page(), address)
    finally:
        context.unroute_all(behavior="ignoreErrors")
        context.close()


def asked_again(route: Route) -> None:
    """Ask until the server is not too busy: its pages do not, and stay empty until a person loads them again."""
    answer = route.fetch(timeout=PATIENCE_MS)
    while answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer = route.fetch(timeout=PATIENCE_MS)
    route.fulfill(response=answer)

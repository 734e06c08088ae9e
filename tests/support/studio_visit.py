"""The page of a studio, open in a browser."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from support.studio_server import PATIENCE, Server

DESK, PHONE = 1440, 375


@dataclass
class Visit:
    """The page of a server, open in a browser profile of its own."""

    page: Page
    asked: list[str]
    refused: list[str]

    @classmethod
    def of(cls, browser: Browser, server: Server, width: int = DESK) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, has_touch=width == PHONE)
        context.set_default_timeout(PATIENCE * 1000)
        visit = cls(context.new_page(), [], [])
        visit.page.on("request", lambda request: visit.asked.append(request.url))
        visit.page.on("response", lambda answer: visit.refused.extend([answer.url] * (not answer.ok)))
        visit.page.on("pageerror", lambda error: visit.refused.append(str(error)))
        visit.page.on("dialog", lambda dialog: visit.refused.append(dialog.message))
        visit.page.goto(server.url)
        visit.page.wait_for_selector("#chart svg")
        return visit

    def card(self, name: str) -> str:
        """What one of the small pictures says."""
        card = self.page.locator(".card", has=self.page.locator("b", has_text=re.compile(f"^{name}$")))
        expect(card).not_to_contain_text("…", timeout=PATIENCE * 1000)  # as long as it is being made
        return card.inner_text()

    def settled(self, *words: str) -> None:
        """Wait until the caption of the pictures says all these words, and everything is restored."""
        for word in words:
            expect(self.page.locator("#caption")).to_contain_text(word, timeout=PATIENCE * 1000)
        expect(self.page.locator(".waiting")).to_have_count(0, timeout=PATIENCE * 1000)

    def turn(self, strength: int) -> None:
        self.page.locator("#strength input[type=range]").fill(str(strength))
        self.settled(f"at {strength}")

    def choose(self, field: str, option: str) -> None:
        self.page.locator(f"#{field} input").click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def compare(self, left: str, right: str) -> None:
        """Choose what is on either side of the divider."""
        for place, (side, name) in enumerate((("left", left), ("right", right))):
            caption = self.page.locator("#caption b").nth(place)
            if caption.inner_text() != name:
                self.choose(side, name)
                expect(caption).to_have_text(name, timeout=PATIENCE * 1000)
        self.settled()

    def drop(self, field: str, path: Path) -> None:
        self.page.set_input_files(f"#{field} input[type=file]", path)

    def pictures(self, field: str = "pair") -> list[NDArray[np.uint8]]:
        """Those on either side of the divider, as the browser has them."""
        sources = [self.page.locator(f"#{field} img.{side}").get_attribute("src") or "" for side in ("left", "right")]
        return [np.array(Image.open(io.BytesIO(b64decode(source.partition(",")[2])))) for source in sources]

    def close(self) -> None:
        self.page.context.close()

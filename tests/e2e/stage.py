"""The stage on which conversations are played: one employee's phone, some agents' workbenches.

Everything is done as a person would, by the screens alone, and waited for as a person would: until
the page shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import FrameLocator, Locator, Page, WebSocket, expect

from tests.kit.server import DemoAgent, DeskServer

SLOW_MS = 60_000  # a killed server is back well within it; a page may wait 20 s between tries
TEXTS = "all => all.map(one => one.querySelector('[data-testid=message-text]').textContent)"
PLACES = "all => all.map(one => Number(one.dataset.position))"


@dataclass(slots=True)
class Heard:
    """All that a page was sent by sockets and fetches: what must never be in it, never arrived."""

    texts: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        def opened(socket: WebSocket) -> None:
            socket.on("framereceived", lambda payload: self.texts.append(_text(payload)))

        def answered(response: Any) -> None:
            if "/api/" in response.url and response.request.method == "POST":
                return  # answers to one's own commands; their bodies may be gone by now
            if "/api/" in response.url and response.ok:
                self.texts.append(response.text())

        page.on("websocket", opened)
        page.on("requestfinished", lambda request: answered(request.response()))

    def contains(self, text: str) -> bool:
        return any(text in heard for heard in self.texts)


class Side:
    """One person's page with a conversation open: its timeline and its composer."""

    def __init__(self, page: Page, at: Page | FrameLocator) -> None:
        self.page = page
        self.at = at

    def say(self, text: str) -> None:
        """Write and send; whether it has arrived is another matter."""
        self.at.get_by_test_id("composer-input").fill(text)
        self.at.get_by_test_id("composer-send").click()

    @property
    def messages(self) -> Locator:
        """The public messages on screen, in order."""
        return self.at.locator("[data-testid=message]:not([data-note])")

    def texts(self) -> list[str]:
        found: list[str] = self.messages.evaluate_all(TEXTS)
        return found

    def positions(self) -> list[float]:
        found: list[float] = self.messages.evaluate_all(PLACES)
        return found

    def wait_for(self, count: int) -> None:
        """Until so many messages have their place in the log."""
        committed = self.at.locator("[data-testid=message][data-position]:not([data-note])")
        expect(committed).to_have_count(count, timeout=SLOW_MS)

    def status_of_last_own(self) -> Locator:
        return self.at.locator("[data-testid=message][data-author=me]:not([data-note])").last


class Phone(Side):
    """The simulator's phone with the H5 page in its frame."""

    def __init__(self, page: Page) -> None:
        self.heard = Heard()
        self.heard.follow(page)
        super().__init__(page, page.frame_locator("iframe"))

    def enter(self, server: DeskServer, userid: str) -> None:
        """Pick up the person's phone and enter the service desk: the login by a one-time code."""
        self.page.goto(f"{server.phone}?person={userid}")
        self.page.locator(".enter").click()

    def open(self, category_id: str, text: str) -> str:
        """The first message of a new conversation; its id."""
        self.at.locator(f"[data-testid=category-card][data-category-id={category_id}]").click()
        self.say(text)
        conversation = self.at.get_by_test_id("h5-conversation")
        expect(self.at.get_by_test_id("queued")).to_be_visible(timeout=SLOW_MS)
        conv_id = conversation.get_attribute("data-conv-id")
        assert conv_id
        return conv_id

    def rate(self, score: int) -> None:
        self.at.get_by_test_id(f"rating-{score}").click(timeout=SLOW_MS)
        self.at.get_by_test_id("rating-send").click()
        expect(self.at.get_by_test_id("closed")).to_be_visible(timeout=SLOW_MS)


class Workbench(Side):
    """An agent's workbench."""

    def __init__(self, page: Page) -> None:
        super().__init__(page, page)

    def log_in(self, server: DeskServer, agent: DemoAgent) -> None:
        self.page.goto(server.workbench)
        self.page.get_by_test_id("login-name").fill(agent.login_name)
        self.page.get_by_test_id("login-password").fill(agent.password)
        self.page.get_by_test_id("login-submit").click()
        expect(self.page.get_by_test_id("tab-queue")).to_be_visible(timeout=SLOW_MS)

    def claim_from_queue(self, conv_id: str) -> None:
        """Take it out of the queue, where it must have appeared by itself."""
        self.page.get_by_test_id("tab-queue").click()
        self.page.locator(f"[data-testid=row][data-conv-id='{conv_id}']").click(timeout=SLOW_MS)
        self.page.get_by_test_id("claim").click()
        self.expect_status("active")

    def join(self, server: DeskServer, conv_id: str) -> None:
        self.page.goto(f"{server.workbench}/c/{conv_id}")
        self.page.get_by_test_id("join").click(timeout=SLOW_MS)
        self.page.get_by_test_id("mode-reply").click()
        expect(self.page.get_by_test_id("composer-input")).to_be_enabled(timeout=SLOW_MS)

    def note(self, text: str) -> None:
        """An internal note; the composer goes back to replies afterwards."""
        self.page.get_by_test_id("mode-note").click()
        self.say(text)
        expect(
            self.page.locator("[data-testid=message][data-note][data-status=sent]")
        ).to_have_count(1, timeout=SLOW_MS)
        self.page.get_by_test_id("mode-reply").click()

    def resolve(self, note: str) -> None:
        self.page.get_by_test_id("resolve").click()
        self.page.get_by_test_id("resolve-note").fill(note)
        self.page.get_by_test_id("resolve-confirm").click()
        self.expect_status("resolved")

    def expect_status(self, status: str) -> None:
        shown = self.page.get_by_test_id("conversation-status")
        expect(shown).to_have_attribute("data-status", status, timeout=SLOW_MS)


def expect_the_same(sides: Sequence[Side], texts: Sequence[str]) -> None:
    """Every side shows these messages: each once, in this order, to the character."""
    for side in sides:
        side.wait_for(len(texts))
        assert side.texts() == list(texts)
        positions = side.positions()
        assert positions == sorted(set(positions))


def _text(payload: str | bytes) -> str:
    return payload if isinstance(payload, str) else payload.decode("utf-8", "replace")

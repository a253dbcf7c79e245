"""A real server and a real browser: the desktop of an agent, the phone of an employee.

After a failure `test-results/<test>/` holds screenshots, traces, what the pages' consoles said and
what the server logged meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page

from tests.kit.browser import find_chromium, launch_flags
from tests.kit.server import DeskServer

WECOM_ON_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148 wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh"
)
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": WECOM_ON_IPHONE,
}

OpenPage = Callable[..., Page]
"""Makes a context of its own with one page; keywords go to the browser's new_context."""


class Transcript:
    """What every page of a test said on its console, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[
            str
        ] = []  # exceptions that no script caught: a test may assert there are none

    def follow(self, context: BrowserContext, who: str) -> None:
        def said(message: ConsoleMessage) -> None:
            self.lines.append(f"{who} {message.type}: {message.text}")

        def failed(error: Error) -> None:
            self.lines.append(f"{who} uncaught: {error}")
            self.errors.append(f"{who}: {error}")

        def opened(page: Page) -> None:
            page.on("console", said)
            page.on("pageerror", failed)

        context.on("page", opened)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = find_chromium()
    assert chromium, "no Chromium: run `python3 dev.py test browser`, or set DESKWIRE_TEST_CHROMIUM"
    return {**browser_type_launch_args, "executable_path": chromium, "args": launch_flags()}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "locale": "zh-CN", "timezone_id": "Asia/Shanghai"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskServer]:
    """One demo for the whole run; a test may kill and restart it, never change its port."""
    with DeskServer(tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def desktop(new_context: Callable[..., BrowserContext], transcript: Transcript) -> OpenPage:
    """`desktop()` is an agent's browser with nobody logged in."""

    def open_page(**wanted: Any) -> Page:
        context = new_context(**{**DESKTOP, **wanted})
        transcript.follow(context, "desktop")
        return context.new_page()

    return open_page


@pytest.fixture
def phone(new_context: Callable[..., BrowserContext], transcript: Transcript) -> OpenPage:
    """`phone()` is an employee's WeCom: phone-sized, touch, its user agent."""

    def open_page(**wanted: Any) -> Page:
        context = new_context(**{**PHONE, **wanted})
        transcript.follow(context, "phone")
        return context.new_page()

    return open_page


@pytest.fixture(autouse=True)
def _evidence(
    request: pytest.FixtureRequest, transcript: Transcript, output_path: str
) -> Iterator[None]:
    running: DeskServer | None = None
    if "server" in request.fixturenames:
        running = request.getfixturevalue("server")
    logged_before = len(running.log_text()) if running else 0
    yield
    report = getattr(request.node, "rep_call", None)
    if report is None or not report.failed:
        return
    folder = Path(output_path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.txt").write_text("\n".join(transcript.lines), "utf-8")
    if running:
        (folder / "server.log").write_text(running.log_text()[logged_before:], "utf-8")

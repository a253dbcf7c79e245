"""The client from its npm package in a real browser, with no bundler: the README's example."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import OpenPage, Transcript
from tests.e2e.stage import SLOW_MS
from tests.kit import client_package
from tests.kit.employee import browser, command, opened, say, signed_in
from tests.kit.server import DeskServer

# What the example says on the console, on the page too, where a test can wait for it.
SHOWN = """
const { log } = console;
const list = document.body.appendChild(document.createElement("ol"));
console.log = (...words) => {
  log(...words);
  const line = list.appendChild(document.createElement("li"));
  line.textContent = words.map((word) => word?.type ?? word).join(" ");
};
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tarball = client_package.packed(tmp_path_factory.mktemp("packed"))
    return client_package.installed(tarball, tmp_path_factory.mktemp("somebody") / "else")


def serve_the_package(page: Page, home: Path, url: str) -> None:
    """On the desk's own origin, whose login cookie the browser then sends."""
    package = home / "node_modules" / "@deskwire" / "client"

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(f"{url}/package/")
        if path == "page.js":
            example = client_package.example("In a browser")
            imports, _, rest = example.partition("\n")
            imports = imports.replace("@deskwire/client", "/package/dist/index.js")
            route.fulfill(body=f"{imports}\n{SHOWN}\n{rest}", content_type="text/javascript")
        else:
            route.fulfill(path=package / path, content_type="text/javascript")

    page.route(f"{url}/package/**", answer)


def test_the_readmes_page_hears_of_messages_and_comes_back_to_a_new_server(
    server: DeskServer, desktop: OpenPage, transcript: Transcript, home: Path
) -> None:
    page = desktop(bypass_csp=True)  # the desk allows no script but its own
    serve_the_package(page, home, server.url)
    with browser(server) as client:
        conv_id = opened(signed_in(client, "luoping"), "打印机卡纸了")
        secret = client.cookies["deskwire-employee"]
        page.context.add_cookies(
            [{"name": "deskwire-employee", "value": secret, "url": server.url}]
        )
        page.goto(f"{server.url}/health/ready")  # any document of this origin will do
        page.add_script_tag(url="/package/page.js", type="module")
        lines = page.locator("li")
        expect(lines.filter(has_text="live").first).to_be_visible(timeout=SLOW_MS)

        say(client, conv_id, "重启过了")
        posted = lines.filter(has_text=f"conv:{conv_id}").filter(has_text="message.posted")
        expect(posted).to_have_count(1, timeout=SLOW_MS)
        server.restart()
        say(client, conv_id, "还是卡纸")
        expect(posted).to_have_count(2, timeout=SLOW_MS)
        # The server is everybody's, and one of its people has one open conversation with a group.
        answer = command(client, str(uuid.uuid4()), "cancel_conversation", conv=conv_id)
        answer.raise_for_status()

    positions = [int(text.split()[1]) for text in posted.all_text_contents()]
    assert positions == [positions[0], positions[0] + 1]
    assert not transcript.errors

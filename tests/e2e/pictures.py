"""Takes the README's pictures from the thing as it is: `python -m tests.e2e.pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from tests.e2e.conftest import PHONE
from tests.e2e.stage import Phone, Workbench
from tests.kit.browser import find_chromium, launch_flags
from tests.kit.server import DeskServer

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LOCALE: dict[str, Any] = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai"}
TALK = (
    ("employee", "会议室的投影连不上，提示「无信号」，10 分钟后要开会"),
    ("agent", "收到。请问是哪一间？电脑是 HDMI 还是 Type-C？"),
    ("employee", "3 楼西 302，Type-C"),
    ("agent", "302 的 Type-C 线昨天换了新的，请先拔下来重插一次，再按 Win + P 选「复制」。"),
    ("employee", "好了！有画面了 👍"),
)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        DeskServer(Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=launch_flags())
        desktop = browser.new_context(viewport={"width": 1280, "height": 760}, **LOCALE)
        agent, employee = (
            Workbench(desktop.new_page()),
            Phone(browser.new_context(**{**PHONE, **LOCALE}).new_page()),
        )
        agent.log_in(server, server.agents[0])
        employee.enter(server, "guojing")
        _talk(server, agent, employee)
        agent.page.screenshot(path=IMAGES / "workbench.png")
        h5 = employee.page.frames[-1].url
        employee.page.goto(h5)
        expect(employee.page.get_by_test_id("message")).to_have_count(len(TALK))
        employee.page.screenshot(path=IMAGES / "h5.png")


def _talk(server: DeskServer, agent: Workbench, employee: Phone) -> None:
    conv_id = employee.open("software", TALK[0][1])
    agent.claim_from_queue(conv_id)
    for count, (by, text) in enumerate(TALK[1:], start=2):
        side = agent if by == "agent" else employee
        side.say(text)
        for both in (agent, employee):
            both.wait_for(count)
        if count == 3:
            agent.note("302 上周也报过一次，建议顺便检查扩展坞")
    agent.page.get_by_test_id("tab-all").click()
    read = employee.status_of_last_own()
    expect(read).to_have_attribute("data-status", "read")


if __name__ == "__main__":
    main()

"""A conversation from the first message to the rating, in two browsers, with the server killed."""

from __future__ import annotations

import os
import uuid

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import OpenPage, Transcript
from tests.e2e.stage import SLOW_MS, Phone, Workbench, expect_the_same
from tests.kit.conversations import Conversation, Line, beside, sample
from tests.kit.server import DeskServer

# Waiting for nobody: the seeded history belongs to others.
EMPLOYEES = (
    *("huangting", "zhoujie", "wujing", "xuqiang", "machao", "zhuhong", "guojing", "hejun"),
    *("gaoyuan", "linxia", "luoping", "liangyu", "songyan", "tangbo", "hanmei"),
)
# A few with every commit; DESKWIRE_PLAY_ALL=1 plays ten of ours and four real ones.
PLAY_ALL = bool(os.environ.get("DESKWIRE_PLAY_ALL"))
SAMPLES, KILLED_SAMPLES = (10, 5) if PLAY_ALL else (3, 1)
REAL, KILLED_REAL = (4, 1) if PLAY_ALL else (1, 1)
REAL_LINES_MAX = 16


def chosen() -> list[tuple[Conversation, bool]]:
    """The conversations to play, and whether the server dies in the middle."""
    short = [found for found in beside() if len(found.lines) <= REAL_LINES_MAX]
    fitting = [found for found in short if len(found.agents) <= 3]
    ours = [found for found in sample() if len(found.agents) <= 4][:SAMPLES]
    real = fitting[:: max(1, len(fitting) // REAL)][:REAL]
    return [
        *((found, at < KILLED_SAMPLES) for at, found in enumerate(ours)),
        *((found, at < KILLED_REAL) for at, found in enumerate(real)),
    ]


CHOSEN = chosen()


@pytest.mark.parametrize(
    "number, conversation, killed",
    [(number, found, killed) for number, (found, killed) in enumerate(CHOSEN)],
    ids=[found.name + ("-killed" if killed else "") for found, killed in CHOSEN],
)
def test_a_conversation_arrives_whole_on_both_sides(
    number: int,
    conversation: Conversation,
    killed: bool,
    server: DeskServer,
    desktop: OpenPage,
    phone: OpenPage,
    transcript: Transcript,
) -> None:
    employee, agents = Phone(phone()), {name: Workbench(desktop()) for name in conversation.agents}
    first, *others = agents.values()
    for agent, account in zip(agents.values(), server.agents, strict=False):
        agent.log_in(server, account)
    employee.enter(server, EMPLOYEES[number % len(EMPLOYEES)])
    opening, *rest = conversation.lines
    conv_id = employee.open("network", opening.text)
    first.claim_from_queue(conv_id)
    for other in others:
        other.join(server, conv_id)

    for count, line in enumerate(rest, start=2):
        side = employee if line.by == "employee" else agents[line.by]
        if killed and count == len(conversation.lines) // 2 + 1:
            server.kill()
            side.say(line.text)
            server.start()
        else:
            side.say(line.text)
        side.wait_for(count)

    texts = [line.text for line in conversation.lines]
    expect_the_same([employee, *agents.values()], texts)
    _statuses_reach_read(conversation.lines, employee, agents)
    canary = f"只有坐席知道 {uuid.uuid4()}"
    first.note(canary)
    first.resolve(f"已解决 {canary}")
    employee.rate(5)
    first.expect_status("closed")
    expect(first.page.get_by_test_id("context-rating")).to_have_attribute("data-score", "5")
    expect_the_same([employee, first], texts)
    assert not [line for line in transcript.lines if "Content Security Policy" in line]
    assert not employee.heard.contains(canary)
    assert canary not in employee.page.frames[-1].content()
    assert not transcript.errors


def _statuses_reach_read(
    lines: tuple[Line, ...], employee: Phone, agents: dict[str, Workbench]
) -> None:
    """Both sides have everything on screen, so what each wrote last is read by the other."""
    writers = {line.by for line in lines}
    assert "employee" in writers
    expect(employee.status_of_last_own()).to_have_attribute("data-status", "read", timeout=SLOW_MS)
    for name, agent in agents.items():
        if name in writers:
            own = agent.status_of_last_own()
            expect(own).to_have_attribute("data-status", "read", timeout=SLOW_MS)


def test_a_message_sent_as_the_server_dies_arrives_once(
    server: DeskServer, desktop: OpenPage, phone: OpenPage
) -> None:
    employee, agent = Phone(phone()), Workbench(desktop())
    agent.log_in(server, server.agents[0])
    employee.enter(server, "huangting")
    agent.claim_from_queue(employee.open("software", "第 0 条"))

    for count in range(1, 4):
        employee.say(f"第 {count} 条")
        server.kill()  # the request may be anywhere: unsent, under way, committed, answered
        server.start()
        employee.wait_for(count + 1)

    expect_the_same([employee, agent], [f"第 {count} 条" for count in range(4)])
    agent.resolve("")
    employee.rate(4)


def test_pages_that_are_reloaded_or_cut_off_come_back_whole(
    server: DeskServer, desktop: OpenPage, phone: OpenPage
) -> None:
    employee, agent = Phone(phone()), Workbench(desktop())
    agent.log_in(server, server.agents[0])
    employee.enter(server, "zhoujie")
    agent.claim_from_queue(employee.open("software", "开始"))
    said = ["开始"]

    for step in range(4):
        said += [f"员工 {step}", f"坐席 {step}"]
        employee.say(said[-2])
        employee.wait_for(len(said) - 1)
        if step == 1:
            agent.page.reload()
        if step == 2:
            employee.enter(server, "zhoujie")  # the page leaves and is opened anew
        agent.wait_for(len(said) - 1)
        agent.say(said[-1])
        agent.wait_for(len(said))

    expect_the_same([employee, agent], said)
    agent.resolve("")
    employee.rate(3)


def test_the_banner_comes_with_the_trouble_and_goes_with_it(
    server: DeskServer, desktop: OpenPage
) -> None:
    agent = Workbench(desktop())
    agent.log_in(server, server.agents[0])
    expect(agent.page.get_by_test_id("banner")).to_have_count(0)

    server.kill()
    expect(agent.page.get_by_test_id("banner")).to_be_visible(timeout=SLOW_MS)
    server.start()

    expect(agent.page.get_by_test_id("banner")).to_have_count(0, timeout=SLOW_MS)

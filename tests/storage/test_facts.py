from __future__ import annotations

from typing import Any

from deskwire.desk.commands import COMMANDS
from deskwire.desk.decide import NEEDS, only_needed
from deskwire.desk.decision import Facts
from deskwire.desk.people import Presence, Principal
from deskwire.storage import conversations, facts, people
from tests.flows.office import ANN, BO, CHEN, LINA, START, WANG, Office


async def read(office: Office, who: Principal, name: str, conv: str, **args: Any) -> Facts:
    of: dict[str, Any] = {"conv": conv}
    command: Any = COMMANDS[name].command(**of, **args)
    async with office.store.reading() as conn:
        state = (await conversations.load_many(conn, [conv]))[0]
        actor = await people.actor(conn, who)
        assert actor is not None
        found = await facts.read(conn, actor, state, command, office.now_ms)
    assert found == only_needed(command, found), "nothing is read that the rule does not look at"
    return found


async def test_agents_are_those_who_have_it_had_it_are_asked_or_named(office: Office) -> None:
    office.offering()
    office.here(CHEN)
    conv = await office.claimed()
    await office.yes(WANG, "transfer_to_agent", conv, agent="chen", note="x")

    found = await read(office, LINA, "assign_conversation", conv, agent="mei", reason="x")

    assert [agent.id for agent in found.agents] == ["chen", "mei", "wang"]
    assert found.offer is not None
    assert (found.offer.agent, found.offer.by) == ("chen", "wang")
    chen = found.agents[0]
    assert (chen.presence, chen.has_offer) == (Presence.CONNECTED, True)


async def test_presence_is_what_the_row_says(office: Office) -> None:
    conv = await office.claimed()
    seen = []
    for seconds in (1, 0, None):
        if seconds is None:
            office.write("DELETE FROM timer WHERE kind = 'agent_lost'")
        else:
            office.here(WANG, seconds=seconds)
        found = await read(office, LINA, "take_over", conv)
        seen.append(found.agents[0].presence)

    assert seen == [Presence.CONNECTED, Presence.GRACE, Presence.LOST]


async def test_replies_are_colleagues_standing_words_above_what_was_seen(office: Office) -> None:
    conv = await office.claimed()
    await office.yes(CHEN, "join_conversation", conv)
    first = await office.post(CHEN, conv, "一")
    recalled = await office.post(CHEN, conv, "二")
    await office.post(WANG, conv, "我的")
    await office.post(ANN, conv, "员工")
    await office.yes(CHEN, "recall_message", conv, msg_id=recalled.result["msg_id"])
    saying = {"kind": "text", "body": "x"}

    found = await read(office, WANG, "post_message", conv, seen=1, **saying)
    unasked = await read(office, WANG, "post_message", conv, **saying)
    wild = await read(office, WANG, "post_message", conv, seen=10**30, **saying)

    assert [reply.msg_id for reply in found.replies] == [first.result["msg_id"]]
    assert found.replies[0].author.name == "Chen"
    assert unasked.replies == wild.replies == ()


async def test_a_message_of_another_conversation_is_none(office: Office) -> None:
    conv, other = await office.claimed(ANN), await office.claimed(BO)
    note = await office.yes(WANG, "post_note", conv, body="x", mentions=("chen",))
    msg_id = note.result["msg_id"]

    found = await read(office, WANG, "recall_message", conv, msg_id=msg_id)
    elsewhere = await read(office, WANG, "recall_message", other, msg_id=msg_id)

    assert found.message is not None
    assert (found.message.is_note, found.message.mentions) == (True, ("chen",))
    assert elsewhere.message is None


async def test_only_enabled_agents_of_the_group_can_be_mentioned(office: Office) -> None:
    conv = await office.claimed()
    office.write("UPDATE person SET disabled_at = 1 WHERE person_id = 'mei'")

    found = await read(
        office, WANG, "post_note", conv, body="x", mentions=("chen", "mei", "qian", "ann")
    )

    assert found.mentioned == {"chen"}


async def test_a_person_is_looked_for_in_the_realm_that_is_named(office: Office) -> None:
    conv = await office.claimed()
    seen = {}
    for realm, person in (("agent", "ann"), ("agent", "chen"), ("employee", "bo"), ("agent", "?")):
        found = await read(office, WANG, "invite_participant", conv, realm=realm, person=person)
        seen[realm, person] = found.person.name if found.person else None

    assert list(seen.values()) == [None, "Chen", "Bo", None]


async def test_another_unclosed_conversation_is_looked_for_in_the_group_it_would_be_in(
    office: Office,
) -> None:
    conv = await office.claimed()
    elsewhere = await office.opened(ANN, category_id="printer")

    moved = await read(office, LINA, "transfer_to_group", conv, group="facilities", note="x")
    stays = await read(office, ANN, "reopen_conversation", conv, kind="text", body="x")

    assert (moved.unclosed, stays.unclosed) == (elsewhere, None)
    assert moved.group is not None
    assert moved.group.name == "办公设备"


async def test_whoever_declined_is_cooling_off_for_five_minutes(office: Office) -> None:
    conv, offer = await office.offered()
    await office.yes(WANG, "decline_offer", conv, offer_id=offer)

    seen = []
    for later in (299_999, 300_000):
        office.now_ms = START + later
        seen.append((await read(office, WANG, "resume_conversation", conv)).cooling)

    assert seen == [{"wang"}, frozenset()]


def test_every_command_of_a_conversation_has_its_needs() -> None:
    assert {line.command for line in COMMANDS.values()} >= set(NEEDS)

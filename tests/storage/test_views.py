from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from deskwire.storage.views import ENTRIES_MAX, PREVIEW_CHARS, STAFF_ENTRIES_MAX, NoCursor
from tests.flows.office import (
    ANN,
    BO,
    CHEN,
    LINA,
    MEI,
    QIAN,
    START,
    WANG,
    Office,
    agent,
    employee,
)

ROOT = agent("root")
CANARY = "金丝雀"


async def talked(office: Office) -> str:
    """A conversation in which notes stand between the words, from before the first to the end.

    public: 1 opened 2 asked 3 joined 4 assigned 5 ten answers … 14
    """
    conv = await office.opened()
    await office.note(WANG, conv, f"{CANARY} 2")
    await office.yes(WANG, "claim_conversation", conv)
    for n in range(5, 15):
        await office.post(WANG, conv, str(n))
        if n % 2:
            await office.note(CHEN, conv, f"{CANARY} {n}")
    return conv


async def paged(office: Office, conv: str, *, forwards: bool, limit: int) -> list[Any]:
    """The whole timeline, read page by page in one direction."""
    found: list[Any] = []
    at: dict[str, int | None] = {"before": None, "after": 0 if forwards else None}
    more = True
    while more:
        page = await office.views.timeline(WANG, conv, **at, limit=limit)
        assert page is not None
        entries = page["entries"]
        found = [*found, *entries] if forwards else [*entries, *found]
        public = [e["position"] for e in entries if not e["stream"].endswith(":staff")]
        at = (
            {"before": None, "after": public[-1]}
            if forwards
            else {"before": public[0], "after": None}
        )
        more = page["more"]
    return found


def words(entries: list[Any]) -> list[str]:
    return [e["event"]["data"].get("body", e["event"]["type"]) for e in entries]


# Timelines ----------------------------------------------------------------------------------------


async def test_staff_entries_stand_behind_the_public_entry_they_are_anchored_at(
    office: Office,
) -> None:
    conv = await talked(office)

    view = await office.views.snapshot(WANG, conv)

    assert view is not None
    assert words(view["entries"]) == [
        "reason.recorded",
        "conversation.opened",
        "VPN 连不上",
        f"{CANARY} 2",
        "reason.recorded",
        "participant.joined",
        "conversation.assigned",
        *(word for n in range(5, 15) for word in ([str(n)] + ([f"{CANARY} {n}"] if n % 2 else []))),
    ]


@pytest.mark.parametrize("forwards", [True, False])
async def test_pages_meet_without_hole_or_overlap_notes_included(
    office: Office, forwards: bool
) -> None:
    conv = await talked(office)
    whole = await office.views.snapshot(WANG, conv)
    assert whole is not None

    for limit in (1, 2, 3, 5, 13, 14, 15, 100):
        assert await paged(office, conv, forwards=forwards, limit=limit) == whole["entries"], limit


async def test_behind_the_newest_entry_there_is_an_empty_page(office: Office) -> None:
    conv = await talked(office)

    pages = [
        await office.views.timeline(who, conv, before=None, after=after, limit=50)
        for who in (ANN, WANG)
        for after in (14, 15, 1000)
    ]

    assert pages == [{"entries": [], "more": False}] * 6


async def test_before_the_first_entry_nothing_public_stands(office: Office) -> None:
    conv = await talked(office)

    pages = [
        await office.views.timeline(ANN, conv, before=before, after=None, limit=50)
        for before in (0, 1)
    ]

    assert pages == [{"entries": [], "more": False}] * 2


async def test_a_snapshot_shows_the_newest_fifty_and_says_that_there_is_more(
    office: Office,
) -> None:
    conv = await office.claimed()
    for n in range(52):
        await office.post(ANN, conv, str(n))

    view = await office.views.snapshot(ANN, conv)

    assert view is not None
    assert words(view["entries"]) == [str(n) for n in range(2, 52)]
    assert view["more"] is True


async def test_more_notes_than_a_page_holds_show_the_newest(office: Office) -> None:
    conv = await office.opened()
    event_id = office.one("SELECT event_id FROM event WHERE type = 'reason.recorded'")
    for position in range(2, STAFF_ENTRIES_MAX + 2):
        office.write(
            "INSERT INTO stream_event VALUES (?, ?, ?, 2, NULL)",
            f"conv:{conv}:staff",
            position,
            event_id,
        )

    page = await office.views.timeline(WANG, conv, before=None, after=None, limit=ENTRIES_MAX)

    assert page is not None
    staff = [e["position"] for e in page["entries"] if e["stream"].endswith(":staff")]
    assert sorted(staff) == list(range(2, STAFF_ENTRIES_MAX + 2))


# One moment ---------------------------------------------------------------------------------------


async def test_state_and_positions_are_of_one_moment_while_others_write(office: Office) -> None:
    conv = await office.claimed()
    await office.post(ANN, conv)

    async def writes() -> None:
        for n in range(8):
            await office.post(ANN, conv, str(n))

    async def looks() -> list[Any]:
        return [await office.views.snapshot(WANG, conv) for _ in range(8)]

    _, views = await asyncio.gather(writes(), looks())

    for view in views:
        newest = view["entries"][-1]
        last = view["conversation"]["last_message"]["msg_id"]
        assert view["positions"][f"conv:{conv}"][1] == newest["position"]
        assert newest["event"]["data"]["msg_id"] == last


async def test_an_employees_snapshot_names_only_the_public_stream(office: Office) -> None:
    conv = await talked(office)
    epoch = office.one("SELECT epoch FROM store")

    own, staffs = await office.views.snapshot(ANN, conv), await office.views.snapshot(WANG, conv)

    assert own is not None
    assert staffs is not None
    assert own["positions"] == {f"conv:{conv}": [epoch, 14]}
    assert staffs["positions"] == {f"conv:{conv}": [epoch, 14], f"conv:{conv}:staff": [epoch, 8]}


# Who sees what ------------------------------------------------------------------------------------


async def test_no_view_of_an_employee_holds_a_word_of_staff(office: Office) -> None:
    conv = await talked(office)
    await office.yes(WANG, "resolve_conversation", conv, note=f"{CANARY} 解决")
    streams = [row[0] for row in office.sql("SELECT stream_id FROM stream")]

    seen = [
        await office.views.boot(ANN),
        await office.views.snapshot(ANN, conv),
        await office.views.timeline(ANN, conv, before=None, after=0, limit=100),
        await office.views.rows(ANN, view="all", after=None, limit=50),
        await office.views.rows_by_id(ANN, [conv]),
        *[await office.views.events(ANN, stream, after=0, limit=500) for stream in streams],
    ]

    text = json.dumps(seen, ensure_ascii=False)
    assert "VPN" in text
    for word in (CANARY, ":staff", "reason.recorded", "note.posted", "queue:", "capacity"):
        assert word not in text, word


async def test_what_one_may_not_see_is_not_there(office: Office) -> None:
    conv = await talked(office)

    for who in (BO, QIAN, agent("sun"), agent("ann"), employee("nobody")):
        assert await office.views.snapshot(who, conv) is None
        assert await office.views.timeline(who, conv, before=None, after=0, limit=9) is None
        assert await office.views.events(who, f"conv:{conv}", after=0, limit=9) is None
    for who in (WANG, CHEN, LINA, ROOT, ANN):
        assert await office.views.snapshot(who, conv) is not None
    assert await office.views.snapshot(WANG, "nowhere") is None


async def test_rows_by_id_leave_out_what_one_may_not_see(office: Office) -> None:
    mine, other = await office.opened(ANN), await office.opened(BO, category_id="printer")

    seen = {
        who.person: [row["conv_id"] for row in (await rows_by_id(office, who, [mine, other]))]
        for who in (ANN, BO, WANG, QIAN, ROOT)
    }

    assert seen == {
        "ann": [mine],
        "bo": [other],
        "wang": [mine],
        "qian": [other],
        "root": [mine, other],
    }


async def rows_by_id(office: Office, who: Any, convs: list[str]) -> list[Any]:
    found = await office.views.rows_by_id(who, convs)
    assert found is not None
    return list(found["rows"])


async def test_a_person_in_both_realms_sees_in_each_what_it_gives(office: Office) -> None:
    conv = await office.claimed(BO, agent("mei"))

    as_agent = await office.views.snapshot(agent("mei"), conv)
    as_employee = await office.views.snapshot(MEI, conv)

    assert (as_agent is not None, as_employee) == (True, None)


async def test_a_disabled_person_sees_nothing(office: Office) -> None:
    conv = await office.claimed()
    office.write("UPDATE person SET disabled_at = 1")

    assert await office.views.boot(ANN) is None
    assert await office.views.snapshot(WANG, conv) is None
    assert await office.views.me(ANN) is None


async def test_events_are_those_of_the_socket_with_head_and_epoch(office: Office) -> None:
    conv = await talked(office)

    page = await office.views.events(ANN, f"conv:{conv}", after=1, limit=2)

    assert page is not None
    assert [e["position"] for e in page["events"]] == [2, 3]
    assert page["head"] == 14
    written = (await office.log.read(f"conv:{conv}", 1, 2)).events
    assert [e["event"] for e in page["events"]] == [json.loads(w.body) for w in written]


# Boot ---------------------------------------------------------------------------------------------


async def test_boot_places_an_agent_on_every_stream_it_stands_for(office: Office) -> None:
    conv, closed = await office.claimed(ANN), await office.claimed(BO)
    await office.yes(WANG, "resolve_conversation", closed)
    await office.yes(BO, "confirm_solved", closed)

    boot = await office.views.boot(WANG)

    assert boot is not None
    assert set(boot["positions"]) == {"agent:wang", "desk", "queue:support", f"conv:{conv}"}
    assert all(place[1] == office.head(stream) for stream, place in boot["positions"].items())
    assert [row["conv_id"] for row in boot["rows"]] == [conv]
    assert [row["conv_id"] for row in boot["boards"]["support"]] == [conv]
    assert boot["me"]["load"] == 1


async def test_boot_tells_an_agent_about_the_desk(office: Office) -> None:
    boot = await office.views.boot(LINA)

    assert boot is not None
    assert boot["me"] == {
        "id": "lina",
        "name": "Lina",
        "avatar": None,
        "realm": "agent",
        "role": "supervisor",
        "login_name": "lina",
        "language": None,
        "availability": "online",
        "availability_reason": None,
        "availability_since": 0,
        "capacity": 5,
        "load": 0,
        "skills": [],
        "pushes": True,
        "groups": ["support"],
    }
    assert [(group["id"], group["is_mine"]) for group in boot["groups"]] == [
        ("facilities", False),
        ("support", True),
    ]
    assert [c["id"] for c in boot["categories"]] == ["network", "account", "printer"]
    assert {a["id"] for a in boot["agents"]} == {
        "wang",
        "chen",
        "lina",
        "mei",
        "qian",
        "sun",
        "root",
    }


async def test_an_admin_serves_every_group(office: Office) -> None:
    boot = await office.views.boot(ROOT)

    assert boot is not None
    assert set(boot["boards"]) == {"support", "facilities"}


async def test_boot_gives_an_employee_their_own_and_nothing_of_the_desk(office: Office) -> None:
    mine, _ = await office.claimed(ANN), await office.claimed(BO)

    boot = await office.views.boot(ANN)

    assert boot is not None
    assert set(boot) == {"settings", "categories", "rows", "marks", "me", "positions"}
    assert set(boot["positions"]) == {"employee:ann", f"conv:{mine}"}
    assert [row["conv_id"] for row in boot["rows"]] == [mine]
    assert boot["me"] == {
        "id": "ann",
        "name": "Ann",
        "avatar": None,
        "realm": "employee",
        "department": "市场部",
        "language": None,
    }


async def test_a_board_stands_in_the_order_of_dispatch(office: Office) -> None:
    convs = []
    for name in ("ann", "bo", "cy", "mei"):
        convs.append(await office.opened(employee(name)))
        office.now_ms += 1000
    await office.yes(WANG, "claim_conversation", convs[0])
    await office.post(WANG, convs[0])

    boot = await office.views.boot(WANG)

    assert boot is not None
    board = [row["conv_id"] for row in boot["boards"]["support"]]
    assert board == [convs[1], convs[2], convs[3], convs[0]]


# Lists --------------------------------------------------------------------------------------------


async def test_a_list_is_paged_to_its_end_without_doubles(office: Office) -> None:
    convs = []
    for n in range(7):
        office.now_ms += n % 2  # some share their time
        conv = await office.opened()
        await office.yes(ANN, "cancel_conversation", conv)
        convs.append(conv)

    found: list[str] = []
    after: str | None = None
    while True:
        page = await office.views.rows(ANN, view="all", after=after, limit=3)
        assert page is not None
        found += [row["conv_id"] for row in page["rows"]]
        after = page["next"]
        if after is None:
            break

    assert found == sorted(convs, reverse=True)


async def test_an_agents_views_are_mine_queue_all_and_closed(office: Office) -> None:
    claimed, queued, closed = (
        await office.claimed(ANN),
        await office.opened(BO),
        await office.opened(employee("cy")),
    )
    await office.yes(employee("cy"), "cancel_conversation", closed)
    await office.opened(MEI, category_id="printer")

    seen = {}
    for view in ("mine", "queue", "all", "closed"):
        page = await office.views.rows(WANG, view=view, after=None, limit=50)
        assert page is not None
        seen[view] = {row["conv_id"] for row in page["rows"]}

    assert seen == {
        "mine": {claimed},
        "queue": {queued},
        "all": {claimed, queued},
        "closed": {closed},
    }


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


NO_CURSORS = [
    "", "!", "x", "ÿ", cursor("x"), cursor("5"), cursor("{}"), cursor('["newest"]'),
    cursor('["newest",1]'),
    cursor('["newest","1","id"]'), cursor('["newest",-1,"id"]'), cursor('["newest",true,"id"]'),
    cursor(f'["newest",{2**63},"id"]'), cursor('["newest",1,"id",2]'), cursor('["newest", 1,"id"]'),
    cursor('["newest",1,"id"]') + "\n", cursor('["newest",1,null]'), "9" * 128,
    cursor('["newest",1,"' + "x" * 65 + '"]'), cursor('["dispatch",1,1,"no"]'),
]  # fmt: skip


async def test_a_cursor_that_no_list_gave_out_is_no_cursor(office: Office) -> None:
    for after in NO_CURSORS:
        with pytest.raises(NoCursor):
            await office.views.rows(WANG, view="all", after=after, limit=5)


# Rows ---------------------------------------------------------------------------------------------


async def test_who_is_invited_sees_of_a_row_what_lies_in_their_piece(office: Office) -> None:
    conv = await office.claimed()
    await office.yes(WANG, "invite_participant", conv, realm="employee", person="bo")
    before = await row(office, BO, conv)
    await office.post(WANG, conv, "新的")
    within = await row(office, BO, conv)
    await office.yes(BO, "leave_conversation", conv)
    await office.post(WANG, conv, "之后")
    after = await row(office, BO, conv)

    assert (before["last_message"], before["preview"], before["unread"]) == (None, None, 0)
    assert (within["preview"], within["unread"]) == ("新的", 1)
    assert (after["last_message"], after["preview"]) == (None, None)
    assert (await row(office, ANN, conv))["preview"] == "之后"


async def row(office: Office, who: Any, conv: str) -> Any:
    found = await office.views.rows_by_id(who, [conv])
    assert found is not None
    return found["rows"][0]


async def test_unread_is_what_others_have_said_since_one_read(office: Office) -> None:
    conv = await office.claimed()
    for who in (ANN, ANN, WANG, ANN):
        await office.post(who, conv)
    await office.note(CHEN, conv)
    office.write("INSERT INTO mark VALUES (?, 'agent', 'wang', 9, 5, 0)", f"conv:{conv}")

    unread = {who.person: (await row(office, who, conv))["unread"] for who in (ANN, WANG)}

    assert unread == {"ann": 1, "wang": 2}


async def test_whoever_is_invited_later_is_told_nothing_of_what_was_said_before(
    office: Office,
) -> None:
    conv = await office.claimed()
    await office.post(WANG, conv, CANARY)
    await office.yes(WANG, "invite_participant", conv, realm="employee", person="bo")

    before = await row(office, BO, conv)
    await office.post(WANG, conv, "欢迎")
    after = await row(office, BO, conv)

    assert (before["preview"], before["unread"]) == (None, 0)
    assert (after["preview"], after["unread"]) == ("欢迎", 1)


async def test_a_board_row_is_nobodys_unread(office: Office) -> None:
    conv = await office.claimed()

    assert (await row(office, CHEN, conv))["unread"] == 0


async def test_the_preview_is_the_beginning_of_the_newest_public_text(office: Office) -> None:
    conv = await office.claimed()
    await office.post(ANN, conv, "字" * (PREVIEW_CHARS + 1))
    await office.note(CHEN, conv, CANARY)

    assert (await row(office, WANG, conv))["preview"] == "字" * PREVIEW_CHARS


async def test_marks_are_shown_by_name_to_staff_and_as_one_to_employees(office: Office) -> None:
    conv = await office.claimed()
    for name, delivered, read in (("wang", 5, 1), ("chen", 3, 3)):
        office.write(
            "INSERT INTO mark VALUES (?, 'agent', ?, ?, ?, 7)",
            f"conv:{conv}",
            name,
            delivered,
            read,
        )

    own, staffs = await office.views.snapshot(ANN, conv), await office.views.snapshot(LINA, conv)

    assert own is not None
    assert staffs is not None
    assert own["marks"] == [
        {"person": "staff", "realm": "agent", "delivered": 5, "read": 3, "at": 7}
    ]
    assert [mark["person"] for mark in staffs["marks"]] == ["chen", "wang"]


async def test_the_conversation_tells_its_rating_and_how_it_was_closed(office: Office) -> None:
    conv = await office.claimed()
    await office.yes(WANG, "resolve_conversation", conv)
    await office.yes(
        ANN, "rate_conversation", conv, score=2, reasons=("慢", "没解决"), comment="😀"
    )

    view = await office.views.snapshot(WANG, conv)

    assert view is not None
    shown = view["conversation"]
    assert (shown["status"], shown["closed_how"], shown["resolution_no"]) == ("closed", "rated", 1)
    assert shown["rating"] == {"score": 2, "reasons": ["慢", "没解决"], "comment": "😀"}
    assert (shown["opened_at"], shown["previous_id"]) == (START, None)


async def test_participants_are_named_with_what_they_see(office: Office) -> None:
    conv = await office.claimed()

    view = await office.views.snapshot(ANN, conv)

    assert view is not None
    shown = sorted(view["participants"], key=lambda member: str(member["role"]))
    assert shown == [
        {
            "realm": realm,
            "person": {"id": person, "name": person.title(), "avatar": None},
            "role": role,
            "visible_from": 1,
            "left_at": None,
        }
        for realm, person, role in (("agent", "wang", "agent"), ("employee", "ann", "requester"))
    ]

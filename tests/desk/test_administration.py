from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from deskwire.desk import events as ev
from deskwire.desk.administration import (
    PARTS,
    RECORDS_MAX,
    RULES,
    DeskDecision,
    OfficeFacts,
    SavedAgent,
    SavedPerson,
    SavedSettings,
    decide_availability,
    decide_office,
)
from deskwire.desk.commands import SetAvailability
from deskwire.desk.deadlines import Arm, Disarm, TimerKind
from deskwire.desk.office import DEFAULTS, CannedReply, Category, Group, Pick, Routing, Scope, Tag
from deskwire.desk.office_commands import (
    ArchiveCannedReply,
    ArchiveCategory,
    ArchiveTag,
    OfOffice,
    SaveAgent,
    SaveCannedReply,
    SaveCategory,
    SaveGroup,
    SavePerson,
    SaveSettings,
    SaveTag,
)
from deskwire.desk.people import AgentChanged, Availability, PersonId, Role
from deskwire.desk.refusals import Refusal
from tests.desk.cast import CATEGORY, GROUP, PEOPLE, START, WANG, moment, verdict

ADMIN = PEOPLE["admin"]
WEEK = (((540, 1_080),),) * 5 + ((), ())
KNOWN = frozenset({"wang", "chen", "root", "support", "zoe"})
FACTS = OfficeFacts(version=0, known=KNOWN, group=GROUP)

SAVES: dict[type[OfOffice], dict[str, Any]] = {
    SaveGroup: {"group_id": "support", "name": "IT 支持", "members": ("wang", "chen")},
    SaveCategory: {
        "category_id": "vpn",
        "name_zh": "VPN",
        "name_en": "VPN",
        "group_id": "support",
    },
    SaveTag: {"tag_id": "vip", "name": "VIP", "colour": "#FF8800"},
    SaveCannedReply: {"reply_id": "hi", "scope": "all", "shortcut": "hi", "text": "您好 {姓名}"},
    SaveAgent: {"person": "wang", "login_name": "wang", "role": "agent"},
    SavePerson: {"person": "zoe", "name": "Zoe", "wecom_userid": "zoe"},
    SaveSettings: {"values": {"recall_window_s": 60}},
    ArchiveCategory: {"category_id": "network"},
    ArchiveTag: {"tag_id": "vip"},
    ArchiveCannedReply: {"reply_id": "hi"},
}
REPLY = CannedReply(id="hi", scope=Scope.ALL, shortcut="hi", text="您好", version=4)
STORED: dict[type[OfOffice], Any] = {
    ArchiveCategory: CATEGORY,
    ArchiveTag: Tag(id="vip", name="VIP", colour="#FF8800"),
    ArchiveCannedReply: REPLY,
}


def saving(
    kind: type[OfOffice], who: Any = ADMIN, known: OfficeFacts = FACTS, **said: Any
) -> DeskDecision | Refusal:
    version = said.pop("version", known.version)
    if kind in STORED and known.stored is None:
        known = replace(known, stored=STORED[kind])
    return decide_office(who, kind(version=version, **(SAVES[kind] | said)), known, moment())


def saved(kind: type[OfOffice], who: Any = ADMIN, known: OfficeFacts = FACTS, **said: Any) -> Any:
    answer = saving(kind, who, known, **said)
    assert isinstance(answer, DeskDecision), answer
    return answer


@pytest.mark.parametrize("kind", SAVES)
def test_a_saved_record_is_one_event_on_the_desk_and_has_the_next_version(
    kind: type[OfOffice],
) -> None:
    answer = saved(kind, known=replace(FACTS, version=4))

    (event,) = answer.events
    assert event.data == ev.SettingsChanged(part=PARTS[kind], version=5)
    assert (event.streams, event.conv) == (("desk",), None)
    assert answer.record.version == 5
    assert answer.result == {"version": 5}


def test_every_command_of_the_office_has_its_rule_and_its_part() -> None:
    assert set(RULES) == set(PARTS) == set(SAVES) == set(get_args(OfOffice))


@pytest.mark.parametrize("kind", SAVES)
def test_what_has_changed_since_is_not_written_over(kind: type[OfOffice]) -> None:
    answer = saving(kind, known=replace(FACTS, version=4), version=3)

    assert isinstance(answer, Refusal)
    assert (answer.code.value, answer.detail) == ("version_changed", {"version": 4})


@pytest.mark.parametrize("kind", SAVES)
def test_nobody_but_an_admin_runs_the_office(kind: type[OfOffice]) -> None:
    may = [who for who, actor in PEOPLE.items() if verdict(saving(kind, actor)) == "yes"]

    assert may == ["admin"]


# Bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, said, field",
    [
        (SaveGroup, {"group_id": "a b"}, "group_id"),
        (SaveGroup, {"name": " "}, "name"),
        (SaveGroup, {"name": "n" * 65}, "name"),
        (SaveGroup, {"offer_s": 9}, "offer_s"),
        (SaveGroup, {"offer_s": 121}, "offer_s"),
        (SaveGroup, {"first_answer_s": 29}, "first_answer_s"),
        (SaveGroup, {"first_answer_s": 901}, "first_answer_s"),
        (SaveGroup, {"queue_max": 0}, "queue_max"),
        (SaveGroup, {"queue_max": 10_001}, "queue_max"),
        (SaveGroup, {"members": ("nobody",)}, "members"),
        (SaveGroup, {"members": ("wang",) * 501}, "members"),
        (SaveGroup, {"week": WEEK[:6]}, "week"),
        (SaveGroup, {"week": (*WEEK[:6], ((600, 540),))}, "week"),
        (SaveGroup, {"week": (*WEEK[:6], ((0, 600), (600, 660)))}, "week"),
        (SaveGroup, {"week": (*WEEK[:6], ((0, 1_441),))}, "week"),
        (SaveGroup, {"week": (*WEEK[:6], ((-1, 5),))}, "week"),
        (
            SaveGroup,
            {"week": (*WEEK[:6], tuple((n * 10, n * 10 + 5) for n in range(9)))},
            "week",
        ),
        (SaveGroup, {"closed_days": ("2026-02-30",)}, "closed_days"),
        (SaveGroup, {"closed_days": ("20260101",)}, "closed_days"),
        (SaveGroup, {"closed_days": ("2026-01-01",) * 367}, "closed_days"),
        (SaveCategory, {"name_zh": ""}, "name_zh"),
        (SaveCategory, {"name_en": "n" * 65}, "name_en"),
        (SaveCategory, {"group_id": "nowhere"}, "group_id"),
        (SaveCategory, {"parent_id": "nowhere"}, "parent_id"),
        (SaveGroup, {"closed_days": ("2026-01-01",)}, "closed_days"),
        (SaveCategory, {"skill": ""}, "skill"),
        (SaveCategory, {"order": -1}, "order"),
        (SaveCategory, {"order": 10_001}, "order"),
        (SaveTag, {"colour": "red"}, "colour"),
        (SaveTag, {"name": "n" * 33}, "name"),
        (SaveTag, {"tag_id": ""}, "tag_id"),
        (SaveCannedReply, {"shortcut": "a b"}, "shortcut"),
        (SaveCannedReply, {"shortcut": "s" * 33}, "shortcut"),
        (SaveCannedReply, {"text": " "}, "text"),
        (SaveCannedReply, {"text": "t" * 4_001}, "text"),
        (SaveCannedReply, {"group_id": "support"}, "group_id"),
        (SaveCannedReply, {"scope": "group"}, "group_id"),
        (SaveAgent, {"person": "nobody"}, "person"),
        (SaveAgent, {"capacity": 0}, "capacity"),
        (SaveAgent, {"capacity": 51}, "capacity"),
        (SaveAgent, {"skills": ("",)}, "skills"),
        (SaveAgent, {"skills": ("s",) * 51}, "skills"),
        (SaveAgent, {"login_name": ""}, "login_name"),
        (SaveAgent, {"login_name": "ß" * 33}, "login_name"),
        (SaveAgent, {"person": "root", "role": "supervisor"}, "role"),
        (SavePerson, {"wecom_userid": "Zoe"}, "wecom_userid"),
        (SavePerson, {"avatar": "javascript:alert(1)"}, "avatar"),
        (SavePerson, {"avatar": "https://" + "a" * 505}, "avatar"),
        (SavePerson, {"department": "d" * 65}, "department"),
        (SavePerson, {"person": "root", "is_disabled": True}, "is_disabled"),
        (SaveSettings, {"values": {"unheard_of": 1}}, "values"),
        (SaveSettings, {"values": {"recall_window_s": 86_401}}, "recall_window_s"),
        (SaveSettings, {"values": {"auto_close_h": 0}}, "auto_close_h"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    kind: type[OfOffice], said: dict[str, Any], field: str
) -> None:
    answer = saving(kind, **said)

    assert isinstance(answer, Refusal)
    assert (answer.code.value, answer.detail) == ("invalid", {"field": field})


@pytest.mark.parametrize(
    "kind, said",
    [
        (SaveGroup, {"offer_s": 10, "first_answer_s": 0, "queue_max": 1}),
        (SaveGroup, {"offer_s": 120, "first_answer_s": 900, "queue_max": 10_000}),
        (SaveGroup, {"week": (*WEEK[:6], ((0, 1_440),)), "closed_days": ("2028-02-29",)}),
        (SaveAgent, {"capacity": 1}),
        (SaveAgent, {"capacity": 50, "skills": ("s" * 32,) * 50}),
        (SaveSettings, {"values": {"recall_window_s": 0, "auto_close_h": 168}}),
    ],
)
def test_what_lies_at_its_bounds_is_saved(kind: type[OfOffice], said: dict[str, Any]) -> None:
    assert verdict(saving(kind, **said)) == "yes"


def test_a_login_name_is_kept_in_lower_case() -> None:
    assert saved(SaveAgent, login_name="Wang.Q").record.login_name == "wang.q"


@pytest.mark.parametrize("kind", [SaveGroup, SaveCategory, SaveTag, SaveCannedReply])
def test_what_every_page_loads_has_a_bound_that_stops_new_ones_alone(kind: type[OfOffice]) -> None:
    full = replace(FACTS, beside=RECORDS_MAX)

    assert verdict(saving(kind, known=replace(full, beside=RECORDS_MAX - 1))) == "yes"
    assert verdict(saving(kind, known=full)) == "too_large"
    assert verdict(saving(kind, known=replace(full, version=1))) == "yes"


@pytest.mark.parametrize("kind", [SaveAgent, SavePerson, SaveCannedReply])
def test_a_name_that_another_has_is_not_given_again(kind: type[OfOffice]) -> None:
    assert verdict(saving(kind, known=replace(FACTS, is_taken=True))) == "invalid"


# Records ------------------------------------------------------------------------------------------


def test_a_group_is_saved_whole_and_its_queue_looked_at() -> None:
    answer = saved(
        SaveGroup,
        known=replace(FACTS, members=frozenset({PersonId("wang"), PersonId("zhao")})),
        week=WEEK,
        routing="pull",
        pick="round_robin",
    )

    assert isinstance(answer.record, Group)
    assert (answer.record.routing, answer.record.pick) == (Routing.PULL, Pick.ROUND_ROBIN)
    assert answer.record.members == ("chen", "wang")
    assert answer.rights_of == ("zhao",)
    # START is 08:00 on a Thursday: it opens at nine.
    assert answer.timers == (
        Arm(kind=TimerKind.DISPATCH, key="support", due=START),
        Arm(kind=TimerKind.HOURS_EDGE, key="support", due=START + 3_600_000),
    )


def test_a_group_without_hours_has_no_edge() -> None:
    assert saved(SaveGroup).timers[1] == Disarm(kind=TimerKind.HOURS_EDGE, key="support")


def test_categories_are_two_deep() -> None:
    parent = Category(id="top", name_zh="顶", name_en="Top", group=GROUP)
    child = replace(parent, parent_id="root")

    assert verdict(saving(SaveCategory, known=replace(FACTS, parent=parent), parent_id="top")) == (
        "yes"
    )
    assert verdict(saving(SaveCategory, known=replace(FACTS, parent=child), parent_id="top")) == (
        "invalid"
    )
    with_children = replace(FACTS, parent=parent, has_children=True)
    assert verdict(saving(SaveCategory, known=with_children, parent_id="top")) == "invalid"
    own = replace(parent, id="vpn")
    assert verdict(saving(SaveCategory, known=replace(FACTS, parent=own), parent_id="vpn")) == (
        "invalid"
    )


def test_an_agent_is_saved_and_their_rights_are_asked_again() -> None:
    answer = saved(
        SaveAgent,
        known=replace(FACTS, groups=frozenset({"support", "facilities"})),
        role="supervisor",
        skills=("b", "a", "b"),
        pushes=False,
    )

    assert answer.record == SavedAgent(
        person=PersonId("wang"),
        login_name="wang",
        role=Role.SUPERVISOR,
        capacity=5,
        skills=("a", "b"),
        pushes=False,
        version=1,
    )
    assert answer.rights_of == ("wang",)
    assert [timer.key for timer in answer.timers] == ["facilities", "support"]


def test_a_disabled_person_loses_all_sight() -> None:
    there, gone = saved(SavePerson), saved(SavePerson, is_disabled=True)

    assert isinstance(gone.record, SavedPerson)
    assert (there.rights_of, gone.rights_of) == ((), ("zoe",))
    assert (there.timers, gone.timers) == (
        (),
        (Arm(kind=TimerKind.AGENT_LOST, key="zoe", due=START),),
    )


def test_settings_that_are_not_named_stay() -> None:
    now = replace(DEFAULTS, auto_close_h=1)

    answer = saved(SaveSettings, known=replace(FACTS, settings=now))

    assert answer.record == SavedSettings(settings=replace(now, recall_window_s=60), version=1)


@pytest.mark.parametrize("kind", STORED)
def test_what_is_archived_stays_as_it_was_but_for_that(kind: type[OfOffice]) -> None:
    stored = STORED[kind]

    answer = saved(kind, known=replace(FACTS, version=7))

    assert answer.record == replace(stored, is_archived=True, version=8)


def test_what_there_is_not_is_not_archived() -> None:
    asking = ArchiveTag(tag_id="none", version=0)

    answer = decide_office(ADMIN, asking, FACTS, moment())

    assert verdict(answer) == "not_found"


# Canned replies -----------------------------------------------------------------------------------

MINE = replace(REPLY, scope=Scope.MINE, owner=PersonId("wang"))
THE_GROUPS = replace(REPLY, scope=Scope.GROUP, group_id="support")
ELSEWHERE = replace(REPLY, scope=Scope.GROUP, group_id="facilities")


@pytest.mark.parametrize(
    "who, said, stored, says",
    [
        ("assignee", {"scope": "mine"}, None, "yes"),
        ("assignee", {"scope": "mine"}, MINE, "yes"),
        ("colleague", {"scope": "mine"}, MINE, "not_found"),
        ("admin", {"scope": "mine"}, MINE, "not_found"),
        ("assignee", {"scope": "group", "group_id": "support"}, None, "not_allowed"),
        ("supervisor", {"scope": "group", "group_id": "support"}, None, "yes"),
        ("other_supervisor", {"scope": "group", "group_id": "support"}, None, "not_allowed"),
        ("supervisor", {"scope": "group", "group_id": "support"}, ELSEWHERE, "not_allowed"),
        ("supervisor", {"scope": "mine"}, THE_GROUPS, "yes"),
        ("assignee", {"scope": "mine"}, REPLY, "not_allowed"),
        ("supervisor", {"scope": "all"}, None, "not_allowed"),
        ("admin", {"scope": "group", "group_id": "support"}, REPLY, "yes"),
        ("requester", {"scope": "mine"}, None, "not_allowed"),
    ],
)
def test_a_reply_is_saved_by_whoever_may_have_both_what_it_was_and_what_it_is_to_be(
    who: str, said: dict[str, Any], stored: CannedReply | None, says: str
) -> None:
    answer = saving(SaveCannedReply, PEOPLE[who], replace(FACTS, stored=stored), **said)

    assert verdict(answer) == says


def test_a_reply_of_ones_own_names_its_owner() -> None:
    answer = saved(SaveCannedReply, PEOPLE["assignee"], scope="mine")

    assert (answer.record.owner, answer.record.group_id) == ("wang", None)


# Availability -------------------------------------------------------------------------------------


def saying(who: str, of: Any = WANG, **said: Any) -> DeskDecision | Refusal:
    usual: dict[str, Any] = {"availability": "break", "reason": "午饭"}
    return decide_availability(PEOPLE[who], SetAvailability(**(usual | said)), of, moment())


def test_an_agent_says_that_they_are_away() -> None:
    answer = saying("assignee")

    assert isinstance(answer, DeskDecision)
    (event,) = answer.events
    assert event.data == ev.AgentAvailabilityChanged(
        agent_id="wang", availability="break", reason="午饭", since=START
    )
    assert (event.streams, event.conv) == (("desk", "agent:wang"), None)
    assert answer.agents == (
        AgentChanged(
            agent=PersonId("wang"),
            missed_offers=0,
            availability=Availability.BREAK,
            availability_reason="午饭",
            availability_since=START,
        ),
    )
    assert answer.timers == ()


def test_who_comes_online_lets_the_dispatcher_look_at_all_their_groups() -> None:
    away = replace(
        WANG, availability=Availability.BREAK, groups=frozenset({"support", "facilities"})
    )

    answer = saying("assignee", away, availability="online", reason=None)

    assert isinstance(answer, DeskDecision)
    assert [timer.key for timer in answer.timers] == ["facilities", "support"]


def test_saying_it_again_changes_nothing() -> None:
    away = replace(WANG, availability=Availability.BREAK, availability_reason="午饭")

    assert saying("assignee", away) == DeskDecision(events=())


@pytest.mark.parametrize(
    "who, agent, says",
    [
        ("supervisor", WANG, "yes"),
        ("admin", WANG, "yes"),
        ("colleague", WANG, "not_allowed"),
        ("other_supervisor", WANG, "not_allowed"),
        ("requester", WANG, "not_allowed"),
        ("supervisor", None, "invalid"),
        ("supervisor", replace(WANG, is_disabled=True), "invalid"),
    ],
)
def test_anothers_availability_is_a_supervisors_who_shares_a_group(
    who: str, agent: Any, says: str
) -> None:
    assert verdict(saying(who, agent, agent="wang")) == says


def test_the_agent_who_was_read_is_the_one_who_is_meant() -> None:
    assert verdict(saying("supervisor", WANG)) == "invalid"
    assert verdict(saying("supervisor", WANG, agent="chen")) == "invalid"


def test_a_reason_has_a_bound() -> None:
    assert verdict(saying("assignee", reason="r" * 501)) == "invalid"

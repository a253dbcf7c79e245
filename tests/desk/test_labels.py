from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deskwire.desk import events as ev
from deskwire.desk.conversation import Conversation, Status
from deskwire.desk.decide import decide
from deskwire.desk.decision import Decision
from deskwire.desk.refusals import Refusal
from tests.desk.cast import (
    ACCOUNT,
    CATEGORY,
    CONV,
    EVERYBODY,
    PRINTER,
    about,
    at,
    data_of,
    decided,
    facts,
    moment,
    refused,
    told,
    verdict,
)


def doing_it(
    name: str, state: Conversation | None = None, who: str = "assignee", **known: Any
) -> Decision | Refusal:
    said = known.pop("said", {})
    state = state or at(Status.ACTIVE)
    return decide(EVERYBODY[who], state, about(state, name, **said), moment(), facts(**known))


@pytest.mark.parametrize("name", ["set_category", "set_priority", "set_tags"])
def test_what_has_changed_since_one_looked_is_not_written_over(name: str) -> None:
    state = replace(at(Status.ACTIVE), version=7, label_version=7)
    version = 7

    answer = refused(doing_it(name, state, said={"version": version - 1}))

    assert (answer.code.value, answer.detail) == ("version_changed", {"version": version})


def test_a_category_is_public_and_raises_the_version() -> None:
    answer = decided(doing_it("set_category"))

    assert answer.events[0].streams == (f"conv:{CONV}", "queue:support")
    assert answer.state.category == ACCOUNT
    assert answer.state.version == at(Status.ACTIVE).version + 1


@pytest.mark.parametrize(
    "category",
    [None, CATEGORY, PRINTER, replace(ACCOUNT, is_archived=True)],
    ids=["none", "another than named", "another group's", "archived"],
)
def test_only_a_category_of_this_group_is_set(category: Any) -> None:
    answer = refused(doing_it("set_category", category=category))

    assert answer.detail == {"field": "category_id"}


@pytest.mark.parametrize(
    "priority, says", [(0, "yes"), (3, "yes"), (4, "invalid"), (-1, "invalid")]
)
def test_a_priority_has_its_bounds(priority: int, says: str) -> None:
    assert verdict(doing_it("set_priority", said={"priority": priority})) == says


def test_a_priority_is_for_staff_alone() -> None:
    answer = decided(doing_it("set_priority"))

    assert answer.events[0].streams == (f"conv:{CONV}:staff", "queue:support")
    assert answer.state.priority == 3
    assert not hasattr(answer.state.row, "priority")


@pytest.mark.parametrize("name", ["set_priority", "set_tags"])
def test_what_staff_note_leaves_no_gap_in_what_employees_count(name: str) -> None:
    state = decided(doing_it(name)).state

    assert (state.version, state.label_version) == (at(Status.ACTIVE).version, 1)
    assert verdict(doing_it(name, state, said={"version": 0})) == "version_changed"


def test_tags_are_set_at_once_and_told_as_what_came_and_went() -> None:
    state = replace(at(Status.ACTIVE), tags=("slow", "old"))

    answer = decided(doing_it("set_tags", state, said={"tags": ("vip", "slow")}))

    tagged = data_of(answer, ev.ConversationTagged)
    assert (tagged.added, tagged.removed) == (("vip",), ("old",))
    assert answer.state.tags == ("slow", "vip")


@pytest.mark.parametrize(
    "tags, says",
    [
        (("vip", "vip"), "invalid"),
        (("nowhere",), "invalid"),
        (tuple(f"t{n}" for n in range(20)), "yes"),
        (tuple(f"t{n}" for n in range(21)), "invalid"),
    ],
)
def test_tags_exist_once_and_are_at_most_twenty(tags: tuple[str, ...], says: str) -> None:
    known = frozenset({"vip", *(f"t{n}" for n in range(30))})

    assert verdict(doing_it("set_tags", tags=known, said={"tags": tags})) == says


def test_an_archived_tag_may_stay_but_is_not_put_on_anew() -> None:
    state = replace(at(Status.ACTIVE), tags=("gone",))

    stays = doing_it("set_tags", state, said={"tags": ("gone", "vip")})
    anew = doing_it("set_tags", said={"tags": ("gone",)})

    assert (verdict(stays), verdict(anew)) == ("yes", "invalid")


@pytest.mark.parametrize(
    "name, said",
    [("set_category", {"category_id": CATEGORY.id}), ("set_priority", {"priority": 0}),
     ("set_tags", {"tags": ()})],
)  # fmt: skip
def test_setting_what_is_set_changes_nothing(name: str, said: dict[str, Any]) -> None:
    answer = decided(doing_it(name, category=CATEGORY, said=said))

    assert (answer.events, answer.state) == ((), at(Status.ACTIVE))


@pytest.mark.parametrize(
    "outcome, said, name",
    [
        ("notified", {}, "push.notified"),
        ("failed", {"reason": "invaliduser"}, "push.failed"),
        ("failed", {"reason": None}, "push.failed"),
        ("recalled", {}, "push.recalled"),
    ],
)
def test_what_became_of_a_push_is_told_to_staff(
    outcome: str, said: dict[str, Any], name: str
) -> None:
    answer = decided(doing_it("record_push", who="system", said={"outcome": outcome, **said}))

    assert told(answer) == [name]
    assert answer.events[0].streams == (f"conv:{CONV}:staff",)
    assert answer.events[0].by is None
    if name == "push.failed":
        assert data_of(answer, ev.PushFailed).reason == (said["reason"] or "unknown")


def test_a_look_from_outside_is_on_record_with_its_name() -> None:
    answer = decided(doing_it("record_inspection", who="admin", said={"msg_id": "msg-1"}))

    assert data_of(answer, ev.ConversationInspected).msg_id == "msg-1"
    assert answer.events[0].by is not None
    assert answer.events[0].by.person.id == "root"

from __future__ import annotations

from dataclasses import replace

import pytest

from deskwire.desk.people import LOGIN_REALMS, SYSTEM, Actor, Principal, Realm, Role
from tests.desk.cast import WANG, agent, employee

ELSEWHERE = agent("root", role=Role.ADMIN)


@pytest.mark.parametrize(
    "actor, serves, supervises",
    [
        (agent("a", "support"), True, False),
        (agent("a", "facilities"), False, False),
        (agent("a", "support", role=Role.SUPERVISOR), True, True),
        (agent("a", "facilities", role=Role.SUPERVISOR), False, False),
        (ELSEWHERE, True, True),
        (employee("a"), False, False),
        (SYSTEM, False, False),
    ],
)
def test_groups_and_roles_decide_whom_one_serves_and_supervises(
    actor: Actor, serves: bool, supervises: bool
) -> None:
    assert (actor.serves("support"), actor.supervises("support")) == (serves, supervises)


def test_one_person_in_two_realms_is_two_principals() -> None:
    assert agent("ann").principal != employee("ann").principal
    assert agent("ann").principal == Principal(Realm.AGENT, agent("ann").person.id)


def test_nobody_logs_in_as_the_desk_itself() -> None:
    assert Realm.SYSTEM not in LOGIN_REALMS
    assert set(LOGIN_REALMS) == set(Realm) - {Realm.SYSTEM}


def test_the_desk_itself_is_neither_agent_nor_employee() -> None:
    assert SYSTEM.is_system
    assert not SYSTEM.is_agent
    assert not agent("a").is_system


@pytest.mark.parametrize("load, is_full", [(0, False), (1, False), (2, True), (3, True)])
def test_an_agent_is_full_at_capacity_and_above(load: int, is_full: bool) -> None:
    assert replace(WANG, load=load).is_full == is_full


def test_an_agent_is_offered_the_work_of_their_groups_alone() -> None:
    assert WANG.serves("support")
    assert not replace(WANG, role=Role.ADMIN).serves("facilities")

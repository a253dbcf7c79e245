from __future__ import annotations

import pytest

from deskwire.desk.people import Actor, Principal, Realm, Role
from tests.desk.cast import agent, employee

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
    ],
)
def test_groups_and_roles_decide_whom_one_serves_and_supervises(
    actor: Actor, serves: bool, supervises: bool
) -> None:
    assert (actor.serves("support"), actor.supervises("support")) == (serves, supervises)


def test_one_person_in_two_realms_is_two_principals() -> None:
    assert agent("ann").principal != employee("ann").principal
    assert agent("ann").principal == Principal(Realm.AGENT, agent("ann").person.id)

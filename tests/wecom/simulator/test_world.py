from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.wecom.simulator.people import DEMO_PEOPLE, IT, Kind
from deskwire.wecom.simulator.world import (
    CALLS_KEPT,
    WRONG_SECRETS_MAX,
    Ask,
    Grants,
    Person,
    Reply,
    Rules,
    World,
)
from tests.wecom.town import DOMAIN, RETURN, SECRET, STATE, Clock


def world(clock: Clock | None = None, **changed: Any) -> World:
    wanted: dict[str, Any] = {"seed": 7, "secret": SECRET, "trusted_domain": DOMAIN}
    return World(clock=clock or Clock(), **(wanted | changed))


def ask(here: World, path: str, ip: str = "127.0.0.1", **query: str) -> Reply:
    return here.answer(Ask(path=path, query=query, ip=ip))


def granted(here: World, **changed: str) -> Reply:
    return ask(here, "gettoken", **({"corpid": here.corp_id, "corpsecret": SECRET} | changed))


def start(here: World, **changed: str) -> dict[str, str]:
    query = {"appid": here.corp_id, "redirect_uri": RETURN, "state": STATE}
    return query | {"agentid": str(here.app.agent_id)} | changed


# --- people --------------------------------------------------------------------------------------


def test_the_demo_has_20_employees_and_the_4_of_the_it_desk() -> None:
    agents = [person.userid for person in DEMO_PEOPLE if person.department == IT]

    assert agents == ["lina", "wangqiang", "zhaomin", "chenjie"]
    assert len(DEMO_PEOPLE) == 24
    assert len({person.userid for person in DEMO_PEOPLE}) == 24
    assert len({person.name for person in DEMO_PEOPLE}) == 24


def test_one_of_them_is_out_of_scope_and_one_unlicensed() -> None:
    assert [person.userid for person in DEMO_PEOPLE if not person.is_in_scope] == ["dengchao"]
    assert [person.userid for person in DEMO_PEOPLE if not person.is_licensed] == ["fengxue"]


def test_people_are_found_whatever_the_case_of_their_id() -> None:
    here = world(people=[Person(userid="LiSi", name="李四", department="市场部")])

    assert here.person("lisi") == here.person("LISI") == here.people[0]
    assert here.person("nobody") is None


# --- the same seed, the same trace ---------------------------------------------------------------


@given(st.integers(0, 2**32))
def test_a_seed_gives_the_same_tokens_and_codes_each_time(seed: int) -> None:
    traces = []
    for _ in range(2):
        here = world(seed=seed)
        address = here.code_for(start(here), "lina")
        traces.append((granted(here), address, ask(here, "user/get")))

    assert traces[0] == traces[1]


def test_another_seed_gives_others() -> None:
    assert granted(world(seed=1)) != granted(world(seed=2))


# --- gettoken ------------------------------------------------------------------------------------


def test_a_token_is_granted_for_two_hours() -> None:
    reply = granted(world())

    assert (reply["errcode"], reply["expires_in"]) == (0, 7200)
    assert 0 < len(reply["access_token"]) <= 512


def test_a_living_token_is_given_again_with_the_time_that_is_left() -> None:
    clock = Clock()
    here = world(clock)
    first = granted(here)
    clock.advance(7199)

    again = granted(here)
    clock.advance(1)
    new = granted(here)

    assert again["access_token"] == first["access_token"]
    assert again["expires_in"] == 1
    assert new["access_token"] != first["access_token"]


@pytest.mark.parametrize("grants, old", [(Grants.NEW, 60111), (Grants.NEW_KILLS_OLD, 40014)])
def test_a_second_token_may_leave_the_first_alive_or_not(grants: Grants, old: int) -> None:
    here = world()
    here.rules = Rules(grants=grants)
    first, second = granted(here)["access_token"], granted(here)["access_token"]

    assert first != second
    assert ask(here, "user/get", access_token=first, userid="nobody")["errcode"] == old
    assert ask(here, "user/get", access_token=second, userid="nobody")["errcode"] == 60111


@pytest.mark.parametrize(
    "changed, code",
    [
        ({"corpid": ""}, 41002),
        ({"corpsecret": ""}, 41004),
        ({"corpid": "wwother"}, 40013),
        ({"corpsecret": "wrong"}, 40001),
    ],
)
def test_a_wrong_setting_has_its_code(changed: dict[str, str], code: int) -> None:
    assert granted(world(), **changed)["errcode"] == code


def test_too_many_wrong_secrets_ban_the_address_for_an_hour() -> None:
    clock = Clock()
    here = world(clock)
    for _ in range(WRONG_SECRETS_MAX):
        assert granted(here, corpsecret="wrong")["errcode"] == 40001

    assert granted(here)["errcode"] == 45009
    elsewhere = ask(here, "gettoken", "10.0.0.9", corpid=here.corp_id, corpsecret=SECRET)
    assert elsewhere["errcode"] == 0
    clock.advance(3600)
    assert granted(here)["errcode"] == 0


def test_a_changed_secret_ends_the_old_one_and_its_tokens() -> None:
    here = world()
    token = granted(here)["access_token"]

    new = here.change_secret()

    assert granted(here)["errcode"] == 40001
    assert granted(here, corpsecret=new)["errcode"] == 0
    assert ask(here, "user/get", access_token=token, userid="lina")["errcode"] == 40014


# --- every call ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["auth/getuserinfo", "user/get", "department/get"])
def test_no_call_is_answered_without_a_good_token(path: str) -> None:
    here = world()

    assert ask(here, path)["errcode"] == 41001
    assert ask(here, path, access_token="made-up")["errcode"] == 40014


def test_a_token_runs_out_by_the_clock() -> None:
    clock = Clock()
    here = world(clock)
    token = granted(here)["access_token"]
    clock.advance(7199.999)
    assert ask(here, "user/get", access_token=token, userid="lina")["errcode"] == 0

    clock.advance(0.001)

    assert ask(here, "user/get", access_token=token, userid="lina")["errcode"] == 42001


def test_a_call_from_an_address_that_is_not_trusted_is_refused() -> None:
    here = world()
    here.rules = Rules(trusted_ips=frozenset({"203.0.113.7"}))
    token = granted(here)["access_token"]

    refused = ask(here, "user/get", access_token=token, userid="lina")
    taken = ask(here, "user/get", "203.0.113.7", access_token=token, userid="lina")

    assert (refused["errcode"], taken["errcode"]) == (60020, 0)


def test_a_refusal_carries_the_hint_that_support_asks_for() -> None:
    assert "hint: [" in ask(world(), "user/get")["errmsg"]


# --- members -------------------------------------------------------------------------------------


def member(here: World, userid: str) -> Reply:
    token = granted(here)["access_token"]
    return ask(here, "user/get", access_token=token, userid=userid)


def test_an_app_made_since_2022_sees_no_phone_and_no_mail() -> None:
    here = world()

    new = member(here, "lina")
    here.rules = Rules(shows_private_fields=True)
    old = member(here, "lina")

    assert not {"mobile", "email", "avatar", "gender"} & set(new)
    assert {"mobile", "email", "avatar", "gender"} <= set(old)


def test_who_is_unknown_or_out_of_scope_is_not_shown() -> None:
    here = world()

    assert member(here, "nobody")["errcode"] == 60111
    assert member(here, "dengchao")["errcode"] == 60011


def test_a_department_is_seen_while_one_of_its_members_is_in_scope() -> None:
    here = world()
    token = granted(here)["access_token"]
    number = str(member(here, "zhangwei")["main_department"])

    seen = ask(here, "department/get", access_token=token, id=number)
    for person in here.people:
        here.leave_scope(person.userid)
    hidden = ask(here, "department/get", access_token=token, id=number)

    assert seen["department"]["name"] == "市场部"
    assert hidden["errcode"] == 60011


# --- logging in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, why",
    [
        ({"appid": "wwother"}, "appid"),
        ({"agentid": "9"}, "appid"),
        ({"agentid": "²"}, "appid"),
        ({"state": ""}, "state"),
        ({"state": "a" * 129}, "state"),
        ({"state": "a-b"}, "state"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri"),
        ({"redirect_uri": f"https://sub.{DOMAIN}/"}, "redirect_uri"),
        ({"redirect_uri": f"https://{DOMAIN}@evil.example/"}, "redirect_uri"),
        ({"redirect_uri": f"javascript://{DOMAIN}/"}, "redirect_uri"),
        ({"redirect_uri": "https://[/"}, "redirect_uri"),
        ({"redirect_uri": "https://desk.example.com:99999/"}, "redirect_uri"),
        ({"redirect_uri": ""}, "redirect_uri"),
    ],
)
def test_a_login_that_was_put_together_wrongly_is_refused(
    changed: dict[str, str], why: str
) -> None:
    here = world()

    assert here.refusal(start(here, **changed)) == why


def test_a_login_without_an_agent_id_is_that_of_the_app() -> None:
    here = world()

    assert here.refusal(start(here, agentid="")) is None


def test_the_way_back_keeps_its_own_query() -> None:
    here = world()
    address = here.code_for(start(here, redirect_uri=f"{RETURN}?to=a%26b"), "lina")

    assert address.startswith(f"{RETURN}?to=a%26b&code=")
    assert address.endswith(f"&state={STATE}")


def test_the_default_port_need_not_be_named() -> None:
    here = world(trusted_domain="desk.example.com")
    token = granted(here)["access_token"]
    for uri, code in [
        ("https://desk.example.com/", 0),
        ("https://desk.example.com:443/", 0),
        ("http://desk.example.com/", 0),
        ("https://desk.example.com:8443/", 50001),
    ]:
        address = here.code_for(start(here, redirect_uri=uri), "lina")
        given = address.partition("code=")[2].partition("&")[0]
        reply = ask(here, "auth/getuserinfo", access_token=token, code=given)
        assert reply["errcode"] == code, uri


def test_who_is_no_member_has_an_openid_and_a_linked_member_the_corp_before_the_id() -> None:
    people = [
        Person(userid="guest", name="访客", department="访客", kind=Kind.EXTERNAL),
        Person(userid="partner", name="伙伴", department="伙伴", kind=Kind.LINKED),
    ]
    here = world(people=people)

    assert "userid" not in here._identity("guest")
    assert here._identity("partner")["userid"].endswith("/partner")


# --- faults and the log --------------------------------------------------------------------------


def test_a_fault_strikes_as_often_as_it_was_told_and_only_its_path() -> None:
    here = world()
    here.faults.add("user/get", "system_busy", times=2)
    calls = [Ask(path=path, query={}, ip="") for path in ("gettoken", *["user/get"] * 3)]

    assert [here.strike(call) for call in calls] == [None, "system_busy", "system_busy", None]


def test_a_fault_may_wait_for_a_certain_call() -> None:
    here = world()
    here.faults.add("user/get", "html", when=lambda query: query["userid"] == "lina")

    assert here.strike(Ask(path="user/get", query={"userid": "chenjie"}, ip="")) is None
    assert here.strike(Ask(path="user/get", query={"userid": "lina"}, ip="")) == "html"


@pytest.mark.parametrize("times", [0, -1, 1001])
def test_a_fault_has_bounds(times: int) -> None:
    with pytest.raises(ValueError, match="times"):
        world().faults.add("user/get", "html", times=times)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="flood"):
        world().faults.add("user/get", "flood")


def test_the_log_hides_secrets_and_has_an_end() -> None:
    here = world()
    for _ in range(CALLS_KEPT + 1):
        call = Ask(path="gettoken", query={"corpsecret": SECRET, "corpid": "c"}, ip="")
        here.note("GET", call, None, None)

    assert len(here.calls) == CALLS_KEPT
    assert here.calls[-1].number == here.calls_made == CALLS_KEPT + 1
    assert here.calls[-1].query == {"corpsecret": "•••", "corpid": "c"}

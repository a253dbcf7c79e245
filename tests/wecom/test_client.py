from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

import deskwire
from deskwire.wecom.client import REPLY_BYTES_MAX, WeComClient
from deskwire.wecom.errors import (
    HIDDEN,
    Ambiguous,
    AuthConfig,
    Busy,
    Invisible,
    Limited,
    LoginCode,
    Permanent,
    Recipient,
    TokenInvalid,
    Unreached,
    WeComFault,
)
from deskwire.wecom.messages import (
    CODE_BYTES_MAX,
    Member,
    MemberStatus,
    Outsider,
    Stranger,
    TextCard,
    UserId,
    text_card,
)
from deskwire.wecom.simulator.faults import FaultKind
from deskwire.wecom.simulator.world import Grants, Kind, Person, Rules
from deskwire.wecom.token import MemoryTokens
from tests.wecom.town import API, DOMAIN, SECRET, Town

LINA = UserId("lina")


# --- the happy path ------------------------------------------------------------------------------


async def test_a_code_becomes_a_member_and_the_member_a_record(town: Town) -> None:
    code = await town.code("zhangwei")
    async with town.client() as client:
        member = await client.identify(code)
        assert isinstance(member, Member)
        record = await client.member(member.userid)

    assert (record.userid, record.name, record.department) == ("zhangwei", "张伟", "市场部")
    assert record.status is MemberStatus.ACTIVE


async def test_a_user_id_comes_in_lower_case_however_the_corp_wrote_it() -> None:
    town = Town(Person(userid="LiSi", name="李四", department="市场部"))
    code = await town.code("LiSi")
    async with town.client() as client:
        assert await client.identify(code) == Member(userid=UserId("lisi"))
        assert (await client.member(UserId("lisi"))).userid == "lisi"


async def test_one_token_serves_all_calls(town: Town) -> None:
    async with town.client() as client:
        for _ in range(5):
            await client.member(LINA)

    assert town.asked("gettoken") == 1


async def test_a_reply_that_names_no_errcode_is_a_good_one(town: Town) -> None:
    town.world.rules = Rules(names_success=False)
    async with town.client() as client:
        assert (await client.member(LINA)).name == "李娜"


async def test_a_member_without_a_name_is_shown_by_the_user_id() -> None:
    town = Town(Person(userid="nemo", name="", department="市场部"))
    async with town.client() as client:
        assert (await client.member(UserId("nemo"))).name == "nemo"


async def test_a_department_the_app_may_not_see_is_left_empty() -> None:
    town = Town(Person(userid="solo", name="独行", department="独行部"))

    def leaves(_query: Mapping[str, str]) -> bool:
        town.world.leave_scope("solo")  # between the two reads
        return False

    town.world.faults.add("department/get", FaultKind.SLOW, when=leaves)
    async with town.client() as client:
        record = await client.member(UserId("solo"))

    assert (record.name, record.department) == ("独行", "")


# --- codes ---------------------------------------------------------------------------------------


async def identify_fault(town: Town, code: str) -> WeComFault:
    async with town.client() as client:
        with pytest.raises(WeComFault) as caught:
            await client.identify(code)
    return caught.value


async def test_a_code_serves_once(town: Town) -> None:
    code = await town.code("lina")
    async with town.client() as client:
        await client.identify(code)

        with pytest.raises(LoginCode) as caught:
            await client.identify(code)

    assert caught.value.code == 42022


async def test_a_code_runs_out_after_5_minutes(town: Town) -> None:
    in_time, late = await town.code("lina"), await town.code("lina")
    async with town.client() as client:
        await client.member(LINA)
        town.clock.advance(299.999)
        await client.identify(in_time)
        town.clock.advance(0.001)

        with pytest.raises(LoginCode) as caught:
            await client.identify(late)

    assert caught.value.code == 42003


async def test_a_code_that_nobody_gave_is_refused(town: Town) -> None:
    fault = await identify_fault(town, "made-up")

    assert isinstance(fault, LoginCode)
    assert fault.code == 40029


@pytest.mark.parametrize("code", ["", "x" * (CODE_BYTES_MAX + 1), "码", "\udc80"])
async def test_what_cannot_be_a_code_is_not_asked_about(town: Town, code: str) -> None:
    fault = await identify_fault(town, code)

    assert isinstance(fault, LoginCode)
    assert not town.world.calls


async def test_a_code_of_512_bytes_is_asked_about(town: Town) -> None:
    await identify_fault(town, "x" * CODE_BYTES_MAX)

    assert town.asked("auth/getuserinfo") == 1


async def test_a_redirect_to_another_port_of_the_trusted_domain_fails_at_the_exchange(
    town: Town,
) -> None:
    code = await town.code("lina", "https://desk.example.com/login/employee/return")

    fault = await identify_fault(town, code)

    assert isinstance(fault, LoginCode)
    assert fault.code == 50001


async def test_a_code_of_another_app_is_worth_nothing(town: Town) -> None:
    town.world.add_app(agent_id=1000003, secret="other", trusted_domain=DOMAIN)
    code = await town.code("lina", agent_id=1000003)

    assert (await identify_fault(town, code)).code == 40029


@pytest.mark.parametrize(
    "kind, stranger", [(Kind.EXTERNAL, Stranger.EXTERNAL), (Kind.LINKED, Stranger.LINKED)]
)
async def test_who_is_no_member_is_an_outsider(kind: Kind, stranger: Stranger) -> None:
    town = Town(Person(userid="guest", name="访客", department="访客", kind=kind))
    code = await town.code("guest")
    async with town.client() as client:
        assert await client.identify(code) == Outsider(kind=stranger)


async def test_a_member_outside_the_scope_is_identified_but_may_not_be_read(town: Town) -> None:
    code = await town.code("dengchao")
    async with town.client() as client:
        assert await client.identify(code) == Member(userid=UserId("dengchao"))

        with pytest.raises(Invisible) as caught:
            await client.member(UserId("dengchao"))

    assert caught.value.code == 60011


async def test_a_disabled_member_is_read_as_such() -> None:
    town = Town(Person(userid="gone", name="离职", department="市场部", status=5))
    async with town.client() as client:
        assert (await client.member(UserId("gone"))).status is MemberStatus.LEFT


async def test_a_member_may_leave_the_scope_or_be_renamed_in_the_middle_of_a_login(
    town: Town,
) -> None:
    town.world.faults.add("user/get", "leaves_scope")
    town.world.faults.add("auth/getuserinfo", "renamed")
    code = await town.code("wangqiang")
    async with town.client() as client:
        with pytest.raises(Invisible):
            await client.member(LINA)
        assert await client.identify(code) == Member(userid=UserId("wangqiang.new"))
        with pytest.raises(Invisible):
            await client.member(UserId("wangqiang"))


# --- the token's end -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [42001, 40014])
async def test_a_token_that_ran_out_early_is_fetched_anew_once(town: Town, code: int) -> None:
    town.world.rules = Rules(expired_code=code)
    async with town.client() as client:
        await client.member(LINA)
        # Our clock says it is good; WeCom's says no.
        town.world.rules = Rules(expired_code=code, token_lifetime_s=7200)
        for token in town.world._tokens.values():
            token.until_ms = town.clock.now_ms
        town.clock.advance(60)

        await client.member(LINA)

    assert town.asked("gettoken") == 2


async def test_a_revoked_token_is_fetched_anew_once_for_all_who_meet_it(town: Town) -> None:
    async with town.client() as client:
        await client.member(LINA)
        town.clock.advance(60)
        town.world.revoke_tokens()

        records = await asyncio.gather(*(client.member(LINA) for _ in range(20)))

    assert {record.name for record in records} == {"李娜"}
    assert town.asked("gettoken") == 2


async def test_a_code_survives_the_exchange_of_a_stale_token(town: Town) -> None:
    code = await town.code("lina")
    async with town.client() as client:
        await client.member(LINA)
        town.clock.advance(60)
        town.world.faults.add("auth/getuserinfo", FaultKind.TOKEN_REVOKED)

        assert await client.identify(code) == Member(userid=LINA)


async def test_a_token_refused_twice_is_a_fault_and_no_third_is_fetched(town: Town) -> None:
    town.world.faults.add("user/get", FaultKind.TOKEN_REVOKED, times=10)
    async with town.client() as client:
        with pytest.raises(TokenInvalid):
            await client.member(LINA)
        with pytest.raises(TokenInvalid, match="not asked"):
            await client.member(LINA)

    assert town.asked("gettoken") == 2
    assert town.asked("user/get") == 2


async def test_two_gettokens_are_10_seconds_apart_at_least(town: Town) -> None:
    town.world.faults.add("user/get", FaultKind.TOKEN_REVOKED)
    async with town.client() as client:
        await client.member(LINA)

    first, second = (call.at_ms for call in town.world.calls if call.path == "gettoken")
    assert second - first >= 10_000


async def test_two_nodes_do_not_kill_each_others_token(town: Town) -> None:
    town.world.rules = Rules(grants=Grants.NEW_KILLS_OLD)
    tokens = MemoryTokens()
    async with town.client(tokens=tokens) as here, town.client(tokens=tokens) as there:
        for _ in range(3):
            await asyncio.gather(here.member(LINA), there.member(LINA))

    assert town.asked("gettoken") == 1


async def test_two_apps_of_a_corp_keep_their_tokens_apart(town: Town) -> None:
    town.world.add_app(agent_id=1000003, secret="other-secret", trusted_domain=DOMAIN)
    tokens = MemoryTokens()
    other = town.client(tokens=tokens, agent_id=1000003, secret="other-secret")
    async with town.client(tokens=tokens) as one, other as two:
        await one.member(LINA)
        await two.member(LINA)
        code = await town.code("lina", agent_id=1000003)

        assert await two.identify(code) == Member(userid=LINA)

    assert town.asked("gettoken") == 2


# --- wrong settings ------------------------------------------------------------------------------


async def test_a_wrong_secret_is_tried_once_a_minute_and_then_ever_more_rarely(town: Town) -> None:
    async with town.client(secret="wrong") as client:
        for _ in range(60 * 60):
            with pytest.raises(AuthConfig) as caught:
                await client.member(LINA)
            assert caught.value.code == 40001
            town.clock.advance(1)

    # At 0, 1, 3, 7, 15 and 31 minutes: far from the 20 for which WeCom bans an address.
    assert town.asked("gettoken") == 6


async def test_while_the_breaker_is_open_the_reason_can_be_seen(town: Town) -> None:
    async with town.client(secret="wrong") as client:
        assert "breaker" not in repr(client)
        with pytest.raises(AuthConfig):
            await client.member(LINA)

        assert isinstance(client.trouble, AuthConfig)
        assert "breaker=gettoken, AuthConfig, errcode 40001" in repr(client)


async def test_a_setting_that_was_mended_is_found_by_the_next_probe(town: Town) -> None:
    town.world.rules = Rules(trusted_ips=frozenset({"203.0.113.7"}))
    async with town.client() as client:
        with pytest.raises(AuthConfig) as caught:
            await client.member(LINA)
        assert caught.value.code == 60020

        town.world.rules = Rules()
        town.clock.advance(60)

        assert (await client.member(LINA)).name == "李娜"
        assert client.trouble is None


async def test_a_changed_secret_closes_the_breaker_at_once(town: Town) -> None:
    tokens = MemoryTokens()
    async with town.client(tokens=tokens, secret="wrong") as client:
        with pytest.raises(AuthConfig):
            await client.member(LINA)
    async with town.client(tokens=tokens) as client:
        assert (await client.member(LINA)).name == "李娜"


async def test_a_secret_that_an_admin_changed_stops_all_calls(town: Town) -> None:
    async with town.client() as client:
        await client.member(LINA)
        town.world.faults.add("user/get", FaultKind.SECRET_CHANGED)

        with pytest.raises(AuthConfig) as caught:
            await client.member(LINA)

    assert caught.value.code == 40001


async def test_a_stale_login_does_not_open_the_breaker(town: Town) -> None:
    async with town.client() as client:
        for _ in range(3):
            with pytest.raises(LoginCode):
                await client.identify("made-up")

        assert client.trouble is None


async def test_a_penalty_on_gettoken_is_waited_for(town: Town) -> None:
    town.world.faults.add("gettoken", FaultKind.OVER_FREQUENCY, times=100)
    async with town.client() as client:
        for _ in range(10):
            with pytest.raises(Limited):
                await client.member(LINA)

    assert town.asked("gettoken") == 1


async def test_a_probe_that_wecom_never_saw_mends_nothing(town: Town) -> None:
    seen: list[int] = []

    def handle(_request: httpx.Request) -> httpx.Response:
        seen.append(town.clock.now_ms)
        if len(seen) == 1:
            return httpx.Response(200, json={"errcode": 40001})
        return httpx.Response(404)  # a proxy's, not WeCom's

    async with town.client(transport=httpx.MockTransport(handle)) as client:
        for fault in (AuthConfig, Permanent):
            with pytest.raises(fault):
                await client.member(LINA)
            town.clock.advance(60)

        assert isinstance(client.trouble, AuthConfig)


async def test_of_many_who_wait_for_a_probe_one_asks(town: Town) -> None:
    async with town.client(secret="wrong") as client:
        for _ in range(2):
            await asyncio.gather(*(client.member(LINA) for _ in range(10)), return_exceptions=True)
            town.clock.advance(60)

    assert town.asked("gettoken") == 2


# --- a bad road ----------------------------------------------------------------------------------

PASSING = [
    FaultKind.REPLY_LOST,
    FaultKind.REFUSED,
    FaultKind.CUT,
    FaultKind.SLOW,
    FaultKind.HTML,
    FaultKind.SYSTEM_BUSY,
]


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("path", ["gettoken", "user/get", "department/get"])
async def test_a_read_is_tried_three_times(town: Town, path: str, kind: FaultKind) -> None:
    town.world.faults.add(path, kind, times=2)
    async with town.client() as client:
        assert (await client.member(LINA)).department == "信息技术部"

    assert town.asked(path) == 3


@pytest.mark.parametrize("kind", PASSING)
async def test_after_the_third_try_it_is_given_up(town: Town, kind: FaultKind) -> None:
    town.world.faults.add("user/get", kind, times=9)
    async with town.client() as client:
        with pytest.raises(Busy):
            await client.member(LINA)

    assert town.asked("user/get") == 3


async def test_tries_are_1_to_3_seconds_apart(town: Town) -> None:
    town.world.faults.add("user/get", FaultKind.REFUSED, times=2)
    async with town.client() as client:
        await client.member(LINA)

    assert town.clock.pauses == [2.0, 2.0]


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.SYSTEM_BUSY])
async def test_a_code_that_wecom_never_took_is_brought_again(town: Town, kind: FaultKind) -> None:
    town.world.faults.add("auth/getuserinfo", kind)
    code = await town.code("lina")
    async with town.client() as client:
        assert await client.identify(code) == Member(userid=LINA)


@pytest.mark.parametrize("kind", [FaultKind.REPLY_LOST, FaultKind.CUT, FaultKind.SLOW])
async def test_a_code_that_may_be_spent_is_never_brought_again(town: Town, kind: FaultKind) -> None:
    town.world.faults.add("auth/getuserinfo", kind)
    code = await town.code("lina")

    fault = await identify_fault(town, code)

    assert isinstance(fault, Busy)
    assert not isinstance(fault, Unreached)
    assert town.asked("auth/getuserinfo") == 1


@pytest.mark.parametrize("kind", [FaultKind.OVER_FREQUENCY, FaultKind.TOO_MANY_AT_ONCE])
async def test_over_a_limit_nothing_is_repeated(town: Town, kind: FaultKind) -> None:
    town.world.faults.add("user/get", kind)
    async with town.client() as client:
        with pytest.raises(Limited) as caught:
            await client.member(LINA)

    assert town.asked("user/get") == 1
    assert caught.value.retry_after_s == 60


def answering(town: Town, **answer: object) -> WeComClient:
    """A client whose every call but gettoken is answered so, by something between us and WeCom."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/gettoken"):
            return httpx.Response(200, json={"access_token": "T", "expires_in": 7200})
        return httpx.Response(**answer)  # type: ignore[arg-type]

    return town.client(transport=httpx.MockTransport(handle))


@pytest.mark.parametrize(
    "answer, fault",
    [
        ({"status_code": 302, "headers": {"location": "https://elsewhere/"}}, Permanent),
        ({"status_code": 403, "text": "no"}, Permanent),
        ({"status_code": 429, "text": "slow down"}, Limited),
        ({"status_code": 503, "text": "<html>"}, Busy),
        ({"status_code": 200, "text": "<html>please log in</html>"}, Busy),
        ({"status_code": 200, "text": "[]"}, Busy),
        ({"status_code": 200, "json": {"errcode": 0}}, Permanent),
        ({"status_code": 200, "json": {"errcode": 99999}}, Permanent),
        ({"status_code": 200, "content": b" " * (REPLY_BYTES_MAX + 1)}, Permanent),
    ],
)
async def test_an_odd_answer_has_its_class(
    town: Town, answer: dict[str, object], fault: type[WeComFault]
) -> None:
    async with answering(town, **answer) as client:
        with pytest.raises(WeComFault) as caught:
            await client.member(LINA)

    assert type(caught.value) is fault


async def test_a_reply_as_long_as_allowed_is_read(town: Town) -> None:
    reply = b'{"userid":"lina","name":"L","status":1}'
    padded = reply + b" " * (REPLY_BYTES_MAX - len(reply))
    async with answering(town, status_code=200, content=padded) as client:
        assert (await client.member(LINA)).name == "L"


# --- the client itself ---------------------------------------------------------------------------


async def test_a_client_is_used_inside_its_async_with(town: Town) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await town.client().member(LINA)


async def test_a_cancelled_caller_leaves_the_others_their_token(town: Town) -> None:
    async with town.client() as client, asyncio.TaskGroup() as callers:
        tasks = [callers.create_task(client.member(LINA)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()

    assert tasks[0].cancelled()
    assert {task.result().name for task in tasks[1:]} == {"李娜"}
    assert town.asked("gettoken") == 1


def test_only_https_or_this_machine_is_called(town: Town) -> None:
    with pytest.raises(ValueError, match="base address"):
        town.client(api_url="http://qyapi.weixin.qq.com")


def test_proxies_of_the_environment_and_redirects_are_not_followed(town: Town) -> None:
    async def road() -> httpx.AsyncClient:
        async with town.client(transport=None) as client:
            assert client._http is not None
            return client._http

    http = asyncio.run(road())

    assert not http.trust_env
    assert not http.follow_redirects


# --- no secret in any word -----------------------------------------------------------------------


async def provoke(town: Town, client: WeComClient, path: str) -> WeComFault | None:
    try:
        if path == "auth/getuserinfo":
            await client.identify(await town.code("lina"))
        else:
            await client.member(LINA)
    except WeComFault as fault:
        return fault
    return None


@pytest.mark.parametrize("kind", list(FaultKind))
@pytest.mark.parametrize("path", ["gettoken", "auth/getuserinfo", "user/get"])
async def test_no_failure_puts_a_secret_into_logs_or_exceptions(
    town: Town, path: str, kind: FaultKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    town.world.faults.add(path, kind, times=9)
    async with town.client() as client:
        fault = await provoke(town, client, path)
        words = [repr(client), repr(town.world)]
    secrets = [SECRET, *town.world._tokens, *town.world._codes]

    words += [caplog.text, *(repr(vars(record)) for record in caplog.records)]
    if fault is not None:
        words += [str(fault), repr(fault), repr(vars(fault))]
        assert isinstance(fault.__context__, WeComFault | None)
        assert fault.__cause__ is None
    assert not [secret for secret in secrets for word in words if secret in word]


async def test_a_reply_that_quotes_the_token_is_not_quoted_on(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errmsg = "system error, hint: [access_token=SEEN-TOKEN&code=SEEN-CODE], from ip: 10.0.0.1"
    reply = {"status_code": 200, "json": {"errcode": 99999, "errmsg": errmsg}}
    async with answering(town, **reply) as client:
        with pytest.raises(Permanent) as caught:
            await client.member(LINA)

    assert "SEEN" not in str(caught.value) + caplog.text
    assert HIDDEN in str(caught.value)


async def test_our_own_bugs_are_logged_as_errors_and_everyday_refusals_are_not(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with town.client() as client:
        with pytest.raises(LoginCode):
            await client.identify("made-up")
    async with answering(town, status_code=404) as client:
        with pytest.raises(Permanent):
            await client.member(LINA)

    levels = [record.levelname for record in caplog.records if "call_failed" in record.message]
    assert levels == ["INFO", "ERROR"]


def test_httpx_is_silenced_as_soon_as_there_is_a_client(town: Town) -> None:
    town.client()

    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.DEBUG)


async def test_over_a_real_road_httpx_says_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # Nobody listens on port 1 of this machine.
    town = Town()
    async with town.client(api_url="http://127.0.0.1:1", transport=httpx.AsyncHTTPTransport()) as c:
        with pytest.raises(Unreached):
            await c.member(LINA)

    assert SECRET not in caplog.text
    assert API not in caplog.text


# --- sending -------------------------------------------------------------------------------------


def request_to(town: Town, userid: str = "lina", push: str = "p1") -> bytes:
    return text_card(
        TextCard(
            to=UserId(userid),
            agent_id=town.world.app.agent_id,
            title="IT服务台有新回复",
            description="李娜回复了您（1 条）",
            url=f"https://{DOMAIN}/h5/c/1?p={push}",
            button="查看",
        )
    )


async def test_a_card_is_shown_once_however_often_the_same_bytes_are_sent(town: Town) -> None:
    request = request_to(town)
    async with town.client() as client:
        first, second = await client.send(request), await client.send(request)
        await client.send(request_to(town, push="p2"))

    shown = town.world.inbox("lina")
    assert first == second == shown[0].msgid
    assert [card.request for card in shown] == [request, request_to(town, push="p2")]


@pytest.mark.parametrize(
    "kind, reaches",
    [(FaultKind.REPLY_LOST, True), (FaultKind.CUT, True), (FaultKind.HTML, False)],
)
async def test_a_send_without_an_answer_is_ambiguous_and_not_repeated(
    town: Town, kind: FaultKind, reaches: bool
) -> None:
    town.world.faults.add("message/send", kind)
    async with town.client() as client:
        with pytest.raises(Ambiguous):
            await client.send(request_to(town))

    assert (len(town.world.inbox("lina")), town.asked("message/send")) == (reaches, 1)


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.SYSTEM_BUSY])
async def test_a_send_that_was_not_taken_is_tried_again_at_once(
    town: Town, kind: FaultKind
) -> None:
    town.world.faults.add("message/send", kind, times=2)
    async with town.client() as client:
        assert await client.send(request_to(town))

    assert len(town.world.inbox("lina")) == 1


async def test_a_token_that_cannot_be_had_leaves_nothing_in_doubt(town: Town) -> None:
    town.world.faults.add("gettoken", FaultKind.HTML)
    async with town.client() as client:
        with pytest.raises(Busy) as caught:
            await client.send(request_to(town))

    assert not isinstance(caught.value, Ambiguous)
    assert town.asked("message/send") == 0


@pytest.mark.parametrize("userid", ["dengchao", "fengxue", "nobody"])
async def test_whom_the_app_does_not_reach_is_told_apart(town: Town, userid: str) -> None:
    async with town.client() as client:
        with pytest.raises(Recipient):
            await client.send(request_to(town, userid))

        assert client.pause_s == 0


async def test_a_config_fault_says_for_how_long_nothing_is_asked(town: Town) -> None:
    town.world.change_secret()
    async with town.client() as client:
        with pytest.raises(AuthConfig):
            await client.send(request_to(town))
        closed_s = client.pause_s
        town.clock.advance(60)

        assert (closed_s, client.pause_s) == (60, 0)


async def test_a_card_is_taken_back_within_a_day(town: Town) -> None:
    async with town.client() as client:
        msgids = [await client.send(request_to(town, push=push)) for push in ("p1", "p2")]
        await client.recall(str(msgids[0]))
        town.clock.advance(24 * 3600 + 1)

        with pytest.raises(Permanent) as caught:
            await client.recall(str(msgids[1]))

    assert caught.value.code == 42052
    assert [card.msgid for card in town.world.inbox("lina")] == [msgids[1]]


def test_nothing_but_the_outbox_sends_messages() -> None:
    rooms = Path(deskwire.__file__).parent
    calling = {
        path.relative_to(rooms).as_posix()
        for path in rooms.rglob("*.py")
        if "client.send(" in path.read_text("utf-8")
    }

    assert calling == {"flows/wecom_out.py"}

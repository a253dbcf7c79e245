from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.datastructures import Headers

from deskwire.app import loopback_origins
from deskwire.web.security import BODY_BYTES_MAX, Origins
from tests.flows.office import ANN, WANG, Office
from tests.web.site import HOST, URL, Site, code, refusal, served

PATH = "/api/agent/commands"
FOREIGN = [
    "null", "", "http://evil.test", f"{URL}.evil.test", f"{URL}1", f"https://{HOST}",
    "http://desk.test", "http://desk.test:80", f"http://evil.test/{HOST}", f"http://{HOST}@evil.test",
    f"{URL}/", f"{URL}/workbench", URL.upper(), f" {URL}x", f"{URL}, {URL}", f"{URL} {URL}",
    "http://xn--desk-test:8000", "file://", "http://desk.test.:8000", "http://DESK.test:8000",
    "http://evil-desk.test:8000", "http://desk.test:08000", "http://127.0.0.1:8000", "http://[::1]:8000",
]  # fmt: skip


# Origin -------------------------------------------------------------------------------------------


async def test_a_foreign_origin_gets_nothing_done(site: Site) -> None:
    async with site.browser(WANG) as browser:
        found = {
            origin: refusal(await browser.send_json(PATH, {}, origin=origin)) for origin in FOREIGN
        }

    no = (403, "not_allowed", {"why": "foreign or missing Origin"})
    assert found == dict.fromkeys(FOREIGN, no)


@pytest.mark.parametrize(
    "headers",
    [[], [("origin", URL), ("origin", URL)], [("origin", URL), ("origin", "http://evil.test")]],
)
async def test_a_missing_or_a_second_origin_gets_nothing_done(
    site: Site, headers: list[tuple[str, str]]
) -> None:
    async with site.browser(WANG) as browser:
        usual = browser.usual(without="origin")
        answer = await browser.post(PATH, json={}, headers=[*usual.items(), *headers])

    assert refusal(answer)[:2] == (403, "not_allowed")


async def test_every_unsafe_method_needs_an_origin_wherever_it_goes(site: Site) -> None:
    methods = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "ODD")
    paths = (PATH, "/h5", "/nowhere", "/login/employee")
    async with site.browser(WANG) as browser:
        answers = [await browser.request(method, path) for method in methods for path in paths]

    assert {refusal(answer)[:2] for answer in answers} == {(403, "not_allowed")}


async def test_each_configured_origin_is_ours(site: Site) -> None:
    async with site.browser(WANG) as browser:
        answers = [
            await browser.send_json("/api/agent/me", origin=origin)
            for origin in site.desk.configuration.origins
        ]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_nobody_is_let_in_by_an_empty_list() -> None:
    with pytest.raises(ValueError, match="nobody"):
        Origins(allowed=())


@pytest.mark.parametrize("allowed", [("null",), ("http://a.test", "null")])
def test_a_null_origin_is_refused_even_where_somebody_lists_it(allowed: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="null"):
        Origins(allowed=allowed)


def test_the_origins_of_this_machine_begin_with_the_canonical_one() -> None:
    assert loopback_origins(8000) == ("http://127.0.0.1:8000", "http://localhost:8000")


# Host ---------------------------------------------------------------------------------------------


async def test_an_unknown_host_is_served_nothing(site: Site) -> None:
    hosts = ("evil.test", "desk.test", f"{HOST}.evil.test", f"evil.{HOST}", "", "desk.test:80",
             f"{HOST}/../x", f"user@{HOST}")  # fmt: skip
    paths = ("/h5", "/api/agent/boot", "/login/employee", "/static/x", "/")
    async with site.browser(WANG) as browser:
        answers = [
            await browser.get(path, headers={"host": host}) for host in hosts for path in paths
        ]

    for answer in answers:
        assert refusal(answer) == (400, "bad_request", {"why": "unknown Host"})


@pytest.mark.parametrize("host", [HOST.upper(), "localhost:8000"])
async def test_a_known_host_is_known_in_any_case(site: Site, host: str) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.get("/api/agent/boot", headers={"host": host})

    assert answer.status_code == 200


def test_two_hosts_are_none_of_ours() -> None:
    twice = Headers(raw=[(b"host", HOST.encode()), (b"host", HOST.encode())])

    assert not Origins(allowed=(URL,)).serves(twice)


async def test_a_supervisor_asks_for_health_under_any_name(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/health/live", headers={"host": "10.0.0.7:8000"})

    assert (answer.status_code, answer.json()) == (200, {"live": True})


# Content type and our own headers -----------------------------------------------------------------


async def test_only_json_is_taken(site: Site) -> None:
    kinds = ("text/plain", "application/x-www-form-urlencoded", "", "json", "application/json5",
             "multipart/form-data; boundary=x", "text/plain; application/json")  # fmt: skip
    async with site.browser(WANG) as browser:
        answers = [await browser.send_bytes(PATH, b"{}", content_type=kind) for kind in kinds]

    assert {refusal(answer)[:2] for answer in answers} == {(415, "type_not_allowed")}


async def test_a_delete_has_no_body_and_names_no_type(site: Site) -> None:
    async with site.browser(WANG) as browser:
        path, headers = "/api/agent/logins/nobody", browser.usual(without="content-type")
        answers = [
            await browser.delete(path, headers=headers | more)
            for more in ({}, {"content-type": "text/plain"})
        ]

    assert [answer.status_code for answer in answers] == [404, 415]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_known_with_parameters_and_in_any_case(site: Site, kind: str) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.send_bytes("/api/agent/me", b"{}", content_type=kind)

    assert answer.status_code == 200


async def test_a_request_that_no_form_can_make_is_asked_for(site: Site) -> None:
    async with site.browser(WANG) as browser:
        neither = await browser.send_json("/api/agent/me", without="command-id deskwire-client")
        either = [
            await browser.send_json("/api/agent/me", without=name)
            for name in ("command-id", "deskwire-client")
        ]

    assert refusal(neither)[:2] == (400, "bad_request")
    assert [answer.status_code for answer in either] == [200, 200]


async def test_no_cross_origin_request_is_answered_with_leave(site: Site) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.options(
            PATH,
            headers={"origin": "http://evil.test", "access-control-request-method": "POST"},
        )

    assert not [name for name in answer.headers if name.startswith("access-control")]


# Bodies -------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    """A JSON object of exactly this many bytes."""
    return b"{" + b" " * (size - 2) + b"}"


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("over, status", [(0, 200), (1, 413)])
async def test_a_body_has_a_bound_with_and_without_a_length(
    site: Site, has_length: bool, over: int, status: int
) -> None:
    body = padded(BODY_BYTES_MAX + over)
    async with site.browser(WANG) as browser:
        answer = await browser.send_bytes("/api/agent/me", body if has_length else in_pieces(body))

    assert answer.status_code == status
    if status == 413:
        assert refusal(answer) == (413, "too_large", {"max": BODY_BYTES_MAX})


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "0x10", "1e9", " 5"])
async def test_a_length_that_is_no_number_harms_nobody(site: Site, length: str) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.post(
            "/api/agent/me",
            content=b"{}",
            headers=[
                *((k.encode(), v.encode()) for k, v in browser.usual().items()),
                (b"content-length", length.encode("latin-1")),
            ],
        )

    assert answer.status_code in {200, 400, 413}


@pytest.mark.parametrize("has_length", [True, False])
async def test_ten_megabytes_over_a_real_socket_get_a_readable_answer(
    office: Office, has_length: bool
) -> None:
    body = padded(10 * 1024 * 1024)
    async with served(office) as site, await asyncio.to_thread(site.browser, WANG) as browser:
        for _ in range(2):
            answer = await browser.send_bytes(PATH, body if has_length else in_pieces(body))
            assert refusal(answer) == (413, "too_large", {"max": BODY_BYTES_MAX})
        after = await browser.get("/health/ready")

    assert after.status_code == 200


# Headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/agent/boot", "/api/nowhere", "/h5", "/static/x", "/nowhere"]
)
async def test_every_answer_carries_the_headers_that_bound_a_page(site: Site, path: str) -> None:
    async with site.browser(WANG) as browser:
        headers = (await browser.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "strict-transport-security" not in headers


async def test_refusals_at_the_door_carry_them_too(site: Site) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.send_json(PATH, origin="http://evil.test")

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/agent/boot", "/api/employee/boot", "/api/nowhere"])
async def test_the_api_is_never_stored(site: Site, path: str) -> None:
    async with site.browser(WANG) as browser:
        answer = await browser.get(path)

    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/workbench", "/h5", "/h5/c/1"])
async def test_both_pages_have_the_one_policy(site: Site, path: str) -> None:
    async with site.browser() as browser:
        policy = (await browser.get(path)).headers["content-security-policy"]

    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "font-src": "'self'",
        "connect-src": f"'self' ws://{HOST} ws://localhost:8000",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "vue",
    }


def test_the_simulators_phone_may_frame_the_pages_only_where_it_is_mounted() -> None:
    framed = Origins(allowed=(URL,), framed_by_self=True).content_policy()

    assert "frame-ancestors 'self'" in framed


async def test_over_https_browsers_are_told_to_stay_there(office: Office) -> None:
    site = await Site.at(office, "https://desk.test")
    async with site.browser() as browser:
        headers = (await browser.get("/h5")).headers
    await site.close()

    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "wss://desk.test" in headers["content-security-policy"]


# Bytes that are no request ------------------------------------------------------------------------

NOT_OBJECTS = [b"", b"[]", b'"text"', b"1", b"null", b"true", b"{", b"\xff\xfe", b"{}{}", b"NaN",
               b'{"a":1', b"\0", b'{"name":"x",}', b"<x/>", b"\xef\xbb\xbf",
               b"1" * 6000]  # fmt: skip
DEPTHS = [50, 200, 500, *range(860, 960), 1000, 5000, 30_000]  # fine where the interpreter gives in


async def test_what_is_no_json_object_is_refused_in_words(site: Site) -> None:
    async with site.browser(WANG) as browser:
        for body in NOT_OBJECTS:
            answer = await browser.send_bytes(PATH, body)

            assert refusal(answer)[:2] in {(400, "bad_request"), (422, "invalid")}, body


@pytest.mark.parametrize("where", ["args", "body", "top"])
async def test_json_as_deep_as_a_well_breaks_nothing(site: Site, where: str) -> None:
    around = {
        "args": '{"name":"post_note","conv":"x","args":{"a":%s}}',
        "body": '{"name":"post_note","conv":"x","args":{"body":%s}}',
        "top": "%s",
    }[where]
    async with site.browser(WANG) as browser:
        for depth in DEPTHS:
            answer = await browser.send_bytes(PATH, (around % ("[" * depth + "]" * depth)).encode())
            assert answer.status_code in {400, 422}
            assert code(answer) in {"bad_request", "invalid"}


HALVES: list[object] = [
    {"name": "post_note", "conv": "x", "args": {"body": "\ud800"}},
    {"name": "post_note", "conv": "x", "args": {"\ud800": 1}},
    {"name": "post_note", "conv": "x", "args": {"body": "x", "\ud800": 1}},
    {"name": "post_note", "conv": "\ud800", "args": {"body": "x"}},
    {"name": "\ud800", "conv": "x", "args": {}},
    {"name": "post_note", "conv": "x", "args": {"body": "x"}, "\ud800": 1},
    {"\ud800": {}},
]


async def test_half_a_character_breaks_nothing(site: Site) -> None:
    async with site.browser(WANG) as browser:
        for body in HALVES:
            answer = await browser.send_bytes(PATH, json.dumps(body).encode())

            assert refusal(answer)[:2] == (422, "invalid"), body


async def test_a_number_that_is_none_of_ours_is_refused(site: Site) -> None:
    conv = (await site.office.claimed()).encode()
    body = b'{"name":"rate_conversation","conv":"' + conv + b'","args":{"score":%s}}'
    async with site.browser(ANN) as browser:
        for number in (b"1e400", b"1.5", b"9" * 400, b"9" * 6000, b"NaN", b"true", b'"5"'):
            answer = await browser.send_bytes("/api/employee/commands", body % number)

            assert refusal(answer)[:2] in {(422, "invalid"), (400, "bad_request")}, number

"""Attachments through the door: what goes up, what comes down, and what nobody gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from deskwire.desk.decision import Binding
from deskwire.desk.events import Stream
from deskwire.desk.messages import FILE_BYTES_MAX, IMAGE_BYTES_MAX
from deskwire.desk.people import Principal, Realm
from deskwire.storage import attachments
from tests.flows.office import ANN, BO, LINA, START, WANG, Office
from tests.kit.uploads import IMAGES, NO_IMAGES, png
from tests.web.site import HOUR_MS, Browser, Site, refusal, served

PATH = "/api/employee/attachments"
CONTENT = bytes(range(100))


async def send(
    browser: Browser, content: bytes = CONTENT, name: str = "a.txt", path: str = PATH, **more: str
) -> httpx.Response:
    headers = browser.usual(**{"content_type": "application/octet-stream"} | more)
    return await browser.post(path, content=content, params={"name": name}, headers=headers)


async def sent(browser: Browser, *given: Any, **more: Any) -> dict[str, Any]:
    answer = await send(browser, *given, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def bind(site: Site, conv: str, attachment_id: str) -> None:
    newest = "SELECT msg_id FROM message WHERE conv_id = ? ORDER BY position DESC"
    msg_id = site.office.sql(newest, conv)[0][0]
    async with site.office.store.writing() as conn:
        stream = Stream(f"conv:{conv}")
        await attachments.bind(
            conn, [Binding(attachment_id=attachment_id, msg_id=msg_id, stream=stream)]
        )


def stored(site: Site) -> list[str]:
    folder = site.desk.configuration.files
    return [path.name for path in folder.rglob("*") if path.is_file()]


# Up -----------------------------------------------------------------------------------------------


async def test_an_upload_is_answered_with_what_it_is(site: Site) -> None:
    async with site.browser(ANN) as browser:
        file = await sent(browser, CONTENT, "C:\\Users\\安\\报表\u202e.xlsx")
        image = await sent(browser, png(30, 20), "截图.png")

    assert file == {
        "id": file["id"],
        "kind": "file",
        "name": "报表.xlsx",
        "bytes": 100,
        "type": "application/octet-stream",
        "width": None,
        "height": None,
    }
    assert {name: image[name] for name in ("kind", "type", "width", "height", "name")} == {
        "kind": "image",
        "type": "image/png",
        "width": 30,
        "height": 20,
        "name": "截图.png",
    }


@pytest.mark.parametrize(
    "kind", ["image/png", "text/html", "", "multipart/form-data; boundary=x", "application/json"]
)
async def test_what_the_client_calls_it_decides_nothing(site: Site, kind: str) -> None:
    async with site.browser(ANN) as browser:
        html = await sent(browser, NO_IMAGES["HTML"], "x.png", content_type=kind)
        image = await sent(browser, IMAGES["image/gif"], "x.html", content_type=kind)

    assert (html["kind"], html["type"]) == ("file", "application/octet-stream")
    assert (image["kind"], image["type"]) == ("image", "image/gif")


async def test_an_upload_needs_what_every_unsafe_request_needs(site: Site) -> None:
    async with site.browser(ANN) as browser:
        foreign = await send(browser, origin="http://evil.test")
        headers = browser.usual(without="command-id deskwire-client")
        plain = await browser.post(PATH, content=b"x", params={"name": "a"}, headers=headers)
        other_realm = await send(browser, path="/api/agent/attachments")

    assert refusal(foreign)[:2] == (403, "not_allowed")
    assert refusal(plain)[:2] == (400, "bad_request")
    assert refusal(other_realm)[:2] == (401, "login_required")
    assert stored(site) == []


async def test_bytes_are_taken_nowhere_else(site: Site) -> None:
    async with site.browser(ANN) as browser:
        answers = [
            await send(browser, path=path)
            for path in (
                "/api/employee/commands",
                f"{PATH}/x",
                f"{PATH}/",
                "/api/other/attachments",
            )
        ]

    assert [refusal(answer)[:2] for answer in answers] == [(415, "type_not_allowed")] * 4


@pytest.mark.parametrize("name", ["", "x" * 1025])
async def test_a_name_has_its_bounds(site: Site, name: str) -> None:
    async with site.browser(ANN) as browser:
        answer = await send(browser, name=name)

    assert refusal(answer) == (422, "invalid", {"field": "name"})


async def test_an_empty_body_is_no_upload(site: Site) -> None:
    async with site.browser(ANN) as browser:
        assert refusal(await send(browser, b"")) == (422, "invalid", {"field": "body"})


async def test_a_body_at_its_bound_is_taken_and_one_past_it_is_told_the_bound(
    office: Office,
) -> None:
    image = png()
    async with served(office) as site, site.browser(ANN) as browser:
        taken = [
            await sent(browser, b"x" * FILE_BYTES_MAX),
            await sent(browser, image.ljust(IMAGE_BYTES_MAX, b"x")),
        ]
        refused = [
            await send(browser, b"x" * (FILE_BYTES_MAX + 1)),
            await send(browser, image.ljust(IMAGE_BYTES_MAX + 1, b"x")),
            await send(browser, image.ljust(FILE_BYTES_MAX, b"x")),
        ]

        assert [each["bytes"] for each in taken] == [FILE_BYTES_MAX, IMAGE_BYTES_MAX]
        assert [refusal(answer) for answer in refused] == [
            (413, "too_large", {"max": FILE_BYTES_MAX}),
            (413, "too_large", {"max": IMAGE_BYTES_MAX}),
            (413, "too_large", {"max": IMAGE_BYTES_MAX}),
        ]
        assert sorted(stored(site)) == sorted(each["id"] for each in taken)


async def test_a_body_that_does_not_say_how_long_it_is_is_counted(office: Office) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(FILE_BYTES_MAX // 1_000_000 + 2):
            yield bytes(1_000_000)

    async with served(office) as site, site.browser(ANN) as browser:
        answer = await browser.post(
            PATH, content=endless(), params={"name": "a"}, headers=browser.usual()
        )

        assert refusal(answer) == (413, "too_large", {"max": FILE_BYTES_MAX})
        assert stored(site) == []


async def test_a_client_that_goes_in_the_middle_leaves_nothing(office: Office) -> None:
    async with served(office) as site, site.browser(ANN) as browser:
        host, _, port = site.url.partition("://")[2].partition(":")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST {PATH}?name=a HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {site.url}\r\n"
            f"Deskwire-Client: tests/1\r\nCookie: {cookie}\r\nContent-Length: 5000000\r\n\r\n"
        )
        writer.write(head.encode() + b"x" * 1_000_000)
        await writer.drain()
        while not stored(site):  # noqa: ASYNC110  the disk has no event
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        while stored(site):  # noqa: ASYNC110
            await asyncio.sleep(0)

        assert site.office.one("SELECT count(*) FROM attachment") == 0
        assert (await sent(browser))["bytes"] == 100


async def test_thirty_uploads_a_minute_are_taken(site: Site) -> None:
    async with site.browser(ANN) as browser:
        for _ in range(30):
            await sent(browser)
        refused = await send(browser)

    assert refusal(refused) == (429, "too_many", {"retry_after_s": 60})
    assert refused.headers["retry-after"] == "60"


# Down ---------------------------------------------------------------------------------------------


async def test_a_file_is_saved_and_never_run(site: Site) -> None:
    async with site.browser(ANN) as browser:
        for what in ("HTML", "SVG", "PDF", "a script"):
            upload = await sent(browser, NO_IMAGES[what], 'a"b\\; 报表.html')
            answer = await browser.get(f"{PATH}/{upload['id']}")

            assert answer.content == NO_IMAGES[what]
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            disposition = answer.headers["content-disposition"]
            assert disposition.startswith("attachment; filename=\"____.html\"; filename*=UTF-8''")
            assert unquote(disposition.rpartition("''")[2]) == "; 报表.html"


@pytest.mark.parametrize("kind", IMAGES)
async def test_a_raster_image_is_shown_in_its_sandbox(site: Site, kind: str) -> None:
    async with site.browser(ANN) as browser:
        upload = await sent(browser, IMAGES[kind], "x.html")
        answer = await browser.get(f"{PATH}/{upload['id']}")

    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"].startswith("inline; ")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_polyglot_is_only_ever_the_image_it_is(site: Site) -> None:
    polyglot = b"GIF89a" + b"/*\x01\x00" + b"*/=1;alert(1)//<script>alert(1)</script>"
    async with site.browser(ANN) as browser:
        upload = await sent(browser, polyglot, "x.js")
        answer = await browser.get(f"{PATH}/{upload['id']}")

    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == polyglot


RANGES = {
    "bytes=0-0": (206, 0, 1),
    "bytes=10-19": (206, 10, 20),
    "bytes=90-": (206, 90, 100),
    "bytes=-5": (206, 95, 100),
    "bytes=-1000": (200, 0, 100),
    "bytes=0-999999999999999999": (200, 0, 100),
    "bytes=99-500": (206, 99, 100),
    "bytes=100-": (416, 0, 0),
    "bytes=-0": (416, 0, 0),
    "bytes=500-600": (416, 0, 0),
    "bytes=20-10": (200, 0, 100),
    "bytes=-": (200, 0, 100),
    "bytes=0-9,20-29": (200, 0, 100),
    "bytes=" + ",".join(f"{n}-" for n in range(1300)): (200, 0, 100),
    "bytes=" + "0-," * 1000: (200, 0, 100),
    "bytes=0-9999999999999999999999": (200, 0, 100),
    "bytes=a-b": (200, 0, 100),
    "bytes = 0-9": (200, 0, 100),
    "lines=0-9": (200, 0, 100),
    "bytes=٣-٤": (200, 0, 100),
    "": (200, 0, 100),
}


async def test_one_range_is_served_and_several_never(site: Site) -> None:
    async with site.browser(ANN) as browser:
        upload = await sent(browser)
        for given, (status, start, stop) in RANGES.items():
            headers = {b"range": given.encode()}
            answer = await browser.get(f"{PATH}/{upload['id']}", headers=headers)

            assert answer.status_code == status, given
            if status == 416:
                assert answer.headers["content-range"] == "bytes */100"
                assert refusal(answer)[1] == "bad_request"
                continue
            assert answer.content == CONTENT[start:stop], given
            assert answer.headers["content-length"] == str(stop - start)
            expected = f"bytes {start}-{stop - 1}/100" if status == 206 else None
            assert answer.headers.get("content-range") == expected, given


async def test_a_range_goes_on_only_with_what_it_began_with(site: Site) -> None:
    async with site.browser(ANN) as browser:
        upload = await sent(browser)
        path = f"{PATH}/{upload['id']}"
        etag = (await browser.get(path)).headers["etag"]
        found = [
            (await browser.get(path, headers={"range": "bytes=1-2", "if-range": each})).status_code
            for each in (etag, '"other"')
        ]

    assert found == [206, 200]


# Posted -------------------------------------------------------------------------------------------


async def test_a_message_has_what_it_names_and_those_who_see_it_load_it(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    async with site.browser(ANN) as browser, site.browser(WANG) as agents:
        image, file = await sent(browser, png(30, 20), "截图.png"), await sent(browser)
        ids = [image["id"], file["id"]]
        posted = await browser.command(
            Realm.EMPLOYEE, "post_message", conv, kind="file", body="", attachments=ids
        )
        page = (await agents.get(f"/api/agent/conversations/{conv}/messages")).json()
        loaded = await agents.get(f"/api/agent/attachments/{file['id']}")
        again = await browser.command(
            Realm.EMPLOYEE, "post_message", conv, kind="file", body="", attachments=ids[:1]
        )

    assert posted.status_code == 200
    shown = page["entries"][-1]["event"]["data"]["attachments"]
    assert shown == [image, file]
    assert loaded.content == CONTENT
    assert refusal(again) == (422, "invalid", {"field": "attachments"})


async def test_a_conversation_is_opened_with_a_picture(site: Site) -> None:
    async with site.browser(ANN) as browser:
        image = await sent(browser, png())
        opened = await browser.command(
            Realm.EMPLOYEE,
            "open_conversation",
            category_id="network",
            kind="image",
            body="",
            attachments=[image["id"]],
        )

    assert opened.status_code == 200, opened.text
    conv = opened.json()["result"]["conv_id"]
    assert site.office.sql("SELECT conv_id, stream_id FROM attachment") == [(conv, f"conv:{conv}")]


async def test_only_ones_own_uploads_of_the_right_kind_are_posted(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    async with site.browser(ANN) as browser, site.browser(BO) as others:
        file, foreign = await sent(browser), await sent(others)
        asked = [
            ("image", [file["id"]], (415, "type_not_allowed")),
            ("file", [foreign["id"]], (422, "invalid")),
            ("file", ["nowhere"], (422, "invalid")),
            ("file", [file["id"], file["id"]], (422, "invalid")),
            ("file", [], (422, "invalid")),
            ("text", [file["id"]], (422, "invalid")),
            ("file", [f"id-{n}" for n in range(1000)], (422, "invalid")),
        ]
        found = [
            refusal(
                await browser.command(
                    Realm.EMPLOYEE, "post_message", conv, kind=kind, body="x", attachments=ids
                )
            )[:2]
            for kind, ids, _ in asked
        ]

    assert found == [expected for _, _, expected in asked]
    assert site.office.one("SELECT count(*) FROM attachment WHERE conv_id IS NOT NULL") == 0


async def test_what_hangs_on_a_note_the_requester_never_learns_of(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    async with site.browser(WANG) as agents, site.browser(ANN) as browser:
        upload = await sent(agents, b"secret", "金丝雀.txt", path="/api/agent/attachments")
        noted = await agents.command(
            Realm.AGENT, "post_note", conv, body="", attachments=[upload["id"]]
        )
        seen = [
            await browser.get(f"/api/employee/{path}")
            for path in (f"conversations/{conv}", f"events?stream=conv:{conv}", "boot")
        ]
        own = await agents.get(f"/api/agent/attachments/{upload['id']}")
        employees = await browser.get(f"{PATH}/{upload['id']}")

    assert noted.status_code == 200, noted.text
    assert "金丝雀" not in "".join(answer.text for answer in seen)
    assert (own.status_code, employees.status_code) == (200, 404)


async def test_what_is_taken_back_is_served_no_more_and_destroyed(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    answers = []
    async with site.browser(ANN) as browser, site.browser(LINA) as agents:
        for name, more in (("recall_message", {}), ("redact_message", {"reason": "密码"})):
            upload = await sent(browser)
            posted = await browser.command(
                Realm.EMPLOYEE,
                "post_message",
                conv,
                kind="file",
                body="",
                attachments=[upload["id"]],
            )
            msg_id = posted.json()["result"]["msg_id"]
            who, realm = (browser, Realm.EMPLOYEE) if not more else (agents, Realm.AGENT)
            taken = await who.command(realm, name, conv, msg_id=msg_id, **more)
            after = await browser.get(f"{PATH}/{upload['id']}")
            answers.append((taken.status_code, after.status_code))
        await site.desk.files.clean()
        kept = len(stored(site))
        site.office.now_ms += 31 * 24 * HOUR_MS
        await site.desk.files.clean()

    assert answers == [(200, 404)] * 2
    assert (kept, stored(site)) == (1, [])


async def test_what_one_may_not_see_is_not_found(site: Site) -> None:
    conv = await site.office.claimed(ANN)
    async with site.browser(ANN) as browser:
        upload = await sent(browser)

    async def status(who: Principal) -> int:
        async with site.browser(who) as browser:
            path = f"/api/{who.realm.value}/attachments/{upload['id']}"
            return (await browser.get(path)).status_code

    staged = [await status(who) for who in (ANN, BO, WANG)]
    await bind(site, conv, upload["id"])
    bound = [await status(who) for who in (ANN, BO, WANG)]
    site.office.write("UPDATE attachment SET withdrawn_at = ?", START)
    withdrawn = [await status(who) for who in (ANN, BO, WANG)]

    assert (staged, bound, withdrawn) == ([200, 404, 404], [200, 404, 200], [404, 404, 404])


@pytest.mark.parametrize(
    "attachment_id",
    [
        "nowhere",
        "%00",
        "..%2f..%2fdesk.db",
        "..",
        "%ed%a0%80",
        "' OR 1=1 --",
        "incoming",
        "x" * 500,
    ],
)
async def test_what_is_no_attachment_is_not_found(site: Site, attachment_id: str) -> None:
    async with site.browser(ANN) as browser:
        answer = await browser.get(f"{PATH}/{attachment_id}")

    assert refusal(answer)[:2] == (404, "not_found")

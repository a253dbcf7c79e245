"""Asks the real application what `policy` has an answer for, and lists where the two disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import httpx
from fastapi.routing import APIRoute

from deskwire.desk.commands import COMMANDS, WIRE
from deskwire.web.errors import STATUS
from tests.kit.databases import SqliteFile
from tests.proofs import policy
from tests.proofs.policy import ASKS, IDENTITIES, ROUTES, STREAMS, THINGS, Ask, Identity, Thing
from tests.proofs.stages import CANARY, HOUR_MS, Stage, secret_of
from tests.web.site import Browser, Site

REALMS = ("agent", "employee")
STATUS_OF: Mapping[str, int] = {code.value: status for code, status in STATUS.items()}


BODIES: Mapping[str, dict[str, str]] = {
    "login": {"login_name": "nobody", "password": "x"},
    "password": {"password": "another correct horse"},
}


def queries(conv: str) -> Mapping[str, dict[str, str]]:
    """What a route needs beside its path."""
    return {
        "/rows": {"ids": conv},
        "/attachments": {"name": "a.txt"},
        "/audit": {"conv": conv},
        "/export.csv": {"from": "1", "to": "2"},
    }


def walk(routes: Any) -> Iterator[tuple[str, str]]:
    """Every method and path below, however it was included; mounted folders are no routes."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in route.methods or ())
        nested = getattr(route, "original_router", None) or getattr(route, "router", None)
        if nested is not None:
            yield from walk(nested.routes)


class Matrix:
    """Two things on a stage, and a browser for each identity. `wrong` grows with what disagrees."""

    def __init__(self, site: Site, stage: Stage) -> None:
        self._site = site
        self._stage = stage
        self.asked = 0
        self.wrong: list[str] = []

    def browser(self, name: str) -> Browser:
        who = IDENTITIES[name]
        browser = self._site.browser()
        if who.cookie != "none":
            browser.cookies.set(f"deskwire-{who.realm}", secret_of(name, who.realm))
        return browser

    def put_back(self) -> None:
        database = self._site.office.database
        assert isinstance(database, SqliteFile)
        database.put_back(self._stage.image)

    def _judge(self, where: str, answer: httpx.Response, expected: str | None) -> None:
        self.asked += 1
        found = None if answer.is_success else code_of(answer)
        status = answer.status_code if expected is None else STATUS_OF[expected]
        if (answer.status_code, found) != (status, expected):
            self.wrong.append(
                f"{where}: expected {expected or 'success'}, "
                f"answered {answer.status_code} {answer.text[:200]}"
            )

    # Commands -------------------------------------------------------------------------------------

    async def commands(self, stage: str) -> None:
        """Every line of this stage, by everybody, to both things.

        Whoever is not logged in or of the other realm is asked on one stage: they are told of none.
        """
        for name, who in IDENTITIES.items():
            if who.cookie != "good" and stage != "active":
                continue
            async with self.browser(name) as browser:
                for ask in ASKS:
                    is_of_realm = policy.is_of_realm(ask.command, who.realm)
                    if ask.stage == stage and (is_of_realm or stage == "active"):
                        await self._both(browser, name, who, ask)

    async def by_the_desk(self) -> None:
        """What no client may name."""
        for name, who in IDENTITIES.items():
            async with self.browser(name) as browser:
                for command in sorted(policy.BY_THE_DESK):
                    ask = Ask(command=command, line=policy.NOBODY)
                    await self._both(browser, name, who, ask)

    async def _both(self, browser: Browser, name: str, who: Identity, ask: Ask) -> None:
        for which, thing in _things(who, ask.command):
            expected = policy.answer(who, ask, thing)
            if ask.command not in WIRE and who.cookie == "good":
                expected = "invalid"  # a name that clients do not know yet
            body = self._body(ask, which, thing)
            # Ids of its own: the office has given its people others.
            url, command_id = f"/api/{who.realm}/commands", f"asked-{self.asked:08d}"
            answer = await browser.send_json(url, body, command_id=command_id)
            where = f"{ask.command} on {ask.stage}, about {ask.about}, {name}, {which}"
            self._judge(where, answer, expected)
            if answer.status_code == 200:
                self.put_back()

    def _body(self, ask: Ask, which: str, thing: Thing) -> dict[str, Any]:
        facts = self._stage.facts[which]
        filled = {
            "open_conversation": {"category_id": thing.other_category},
            "set_category": {"category_id": thing.foreign_category, "version": facts["version"]},
            "transfer_to_agent": {"agent": thing.participant},
            "assign_conversation": {"agent": thing.participant},
            "set_availability": {"agent": thing.assignee},
            "transfer_to_group": {"group": thing.foreign_group},
            "save_canned_reply": {"group_id": thing.group},
        }.get(ask.command, {})
        usual = {
            "msg_id": facts["msg_id"],
            "offer_id": facts["offer_id"],
            "person": thing.invited,
            "version": facts["labels"],
            "until": self._site.office.now_ms + HOUR_MS,
        }
        of_stage = usual | filled
        args = {key: of_stage[key] if value is None else value for key, value in ask.args.items()}
        body: dict[str, Any] = {"name": ask.command, "args": args}
        takes_one = "conv" in {each.name for each in fields(COMMANDS[ask.command].command)}
        return body | ({"conv": facts["conv"]} if takes_one else {})

    # Routes ---------------------------------------------------------------------------------------

    async def routes(self) -> None:
        """Every route of both realms, by everybody, about both things."""
        for name, who in IDENTITIES.items():
            async with self.browser(name) as browser:
                for (method, path), line in ROUTES.items():
                    for which, thing in _things(who, path):
                        await self._route(browser, name, (method, path), line, (which, thing))

    async def _route(
        self,
        browser: Browser,
        name: str,
        route: tuple[str, str],
        line: str,
        about: tuple[str, Thing],
    ) -> None:
        who = IDENTITIES[name]
        if line == "commands" or (route[1] in policy.OF_AGENTS and who.realm != "agent"):
            return
        which, thing = about
        facts = self._stage.facts[which]
        for expected, path, query in self._questions(who, line, route[1], thing, facts):
            url = f"/api/{who.realm}{path}"
            answer = await asked(browser, route[0], url, query)
            where = f"{route[0]} {url} {query}, {name}, {which}"
            is_known = who.cookie == "good" or line == policy.UNASKED
            self._judge(where, answer, expected if is_known else "login_required")
            for each, of in THINGS.items():
                self._look_into(where, answer, who, of, self._stage.facts[each])
            if answer.is_success and route[1] in policy.ENDING:
                self.put_back()
                browser.cookies.set(f"deskwire-{who.realm}", secret_of(name, who.realm))

    def _questions(
        self, who: Identity, line: str, path: str, thing: Thing, facts: Mapping[str, Any]
    ) -> Iterator[tuple[str | None, str, dict[str, str]]]:
        """What to ask this route about the thing, and the answer that is due."""
        conv = facts["conv"]
        match line:
            case "streams":
                for stream in STREAMS:
                    of = {"conv": conv, "group": thing.group, "assignee": thing.assignee}
                    name = stream.format(**of, requester=thing.requester)
                    expected = None if policy.watches(who, stream, thing) else "not_found"
                    yield expected, path, {"stream": name}
            case "attachments":
                for at, file in zip((policy.SEE, policy.STAFF), facts["files"], strict=True):
                    expected = None if policy.sees(who, thing, at) else "not_found"
                    yield expected, path.format(attachment_id=file), {}
            case _:
                asked_of = policy.owner(who, thing)
                names = {"conv_id": conv, "msg_id": facts["gone"], "person": asked_of}
                login = next(
                    f"login of {name}"[:36]
                    for name, each in IDENTITIES.items()
                    if (each.realm, each.person) == (who.realm, asked_of)
                )
                url = path.format(**names, login_id=login, person_id=thing.requester)
                yield policy.route(who, line, thing), url, queries(conv).get(path, {})

    def _look_into(
        self,
        where: str,
        answer: httpx.Response,
        who: Identity,
        thing: Thing,
        facts: Mapping[str, Any],
    ) -> None:
        """No answer names what one may not see, and none tells what is of staff only."""
        named = facts["conv"] in answer.text and answer.status_code == 200
        if named and not policy.sees(who, thing):
            self.wrong.append(f"{where}: names a conversation of others")
        note = f"{CANARY} {facts['conv']}"
        if note in answer.text and not policy.sees(who, thing, policy.STAFF):
            self.wrong.append(f"{where}: tells a note")
        if named and ":staff" in answer.text and who.realm == "employee":
            self.wrong.append(f"{where}: tells that there is a stream of staff")


def _things(who: Identity, what: str) -> list[tuple[str, Thing]]:
    """Both, or the first for whom and for what the thing makes no difference."""
    is_of_realm = policy.is_of_realm(what, who.realm)
    is_one_for_all = what in policy.BY_THE_DESK or what in policy.ABOUT_NOTHING
    matters = who.cookie == "good" and not is_one_for_all and (is_of_realm or what[0] == "/")
    return list(THINGS.items())[: 2 if matters else 1]


async def asked(browser: Browser, method: str, url: str, query: dict[str, str]) -> httpx.Response:
    if method == "GET":
        return await browser.get(url, params=query)
    body = BODIES.get(url.rsplit("/", 1)[1], {})
    return await browser.request(
        method, url, json=body, params=query, headers=browser.usual(without="content-length")
    )


def code_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["refusal"]["code"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return "no refusal"

"""The generated parts of `docs/` and `contract/`, from the tables in the code.

`python tests/kit/documents.py` writes them; `tests/test_docs.py` fails where they are stale.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from deskwire.desk.access import DUTIES, STREAMS, TABLE
from deskwire.desk.checkup import LAWS
from deskwire.desk.commands import COMMANDS, NAMES, Source
from deskwire.desk.deadlines import TIMERS
from deskwire.desk.events import EVENT_TYPES, FLAT, TYPE_OF
from deskwire.desk.office import SETTINGS
from deskwire.desk.rates import RATES
from deskwire.desk.refusals import MEANINGS
from deskwire.desk.routing import CLAUSES, WaitingReason
from deskwire.desk.transitions import TRANSITIONS, Transition
from deskwire.realtime import codes, frames
from deskwire.settings import Settings
from deskwire.web.errors import STATUS

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def close_codes() -> str:
    head = ("code", "name", "again?", "delay", "the client shows", "and does")
    return table(head, ([str(c.code), c.name, c.again, _delay(c), c.zh, c.does] for c in _codes()))


def _codes() -> Iterable[codes.CloseCode]:
    return codes.TABLE.values()


def _delay(row: codes.CloseCode) -> str:
    delay = row.delay
    match delay.wait:
        case codes.Wait.BACKOFF:
            return f"backoff, ≥ {delay.least_ms // 1000} s" if delay.least_ms else "backoff"
        case codes.Wait.TOLD:
            return "`retry_ms`"
        case codes.Wait.RANGE:
            return "0–1 s" if delay.most_ms else "at once"
        case codes.Wait.NEVER:
            return "–"


def frames_of(union: Any) -> Callable[[], str]:
    def render() -> str:
        kinds = typing.get_args(union)
        rows = ([f"`{kind.__struct_config__.tag}`", _fields(kind)] for kind in kinds)
        return table(("op", "fields"), rows)

    return render


def _fields(kind: Any) -> str:
    shown = []
    for field in msgspec.structs.fields(kind):
        optional = field.default is msgspec.UNSET or not field.required
        shown.append(f"`{field.encode_name}`{'?' if optional else ''}")
    return ", ".join(shown) or "–"


def refusals() -> str:
    rows = (
        [
            str(STATUS[code]),
            f"`{code}`",
            _codes_of(meaning.detail),
            f"`{meaning.retry}`",
            meaning.message,
        ]
        for code, meaning in MEANINGS.items()
    )
    return table(("status", "code", "detail", "retry", "meaning"), rows)


def _codes_of(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "–"


def events() -> str:
    rows = (
        [
            f"`{kind.name}`",
            kind.clearance.value,
            kind.shown,
            ", ".join(_always(kind.data)),
        ]
        for kind in EVENT_TYPES
    )
    return table(("event", "clearance", "streams", "data"), rows)


def _always(data: Any) -> Iterable[str]:
    """The fields that are always written; a tombstone has one more."""
    fields = msgspec.structs.fields(data)
    return (field.encode_name for field in fields if field.default is not msgspec.UNSET)


def transitions() -> str:
    rows = (
        [
            row.no,
            ", ".join(status or "–" for status in row.frm),
            ", ".join(f"`{NAMES[asked.command]}` ({asked.who})" for asked in row.asked),
            row.guard,
            ", ".join(row.to) + (f" ({row.how})" if row.how else ""),
            "<br>".join(_all_told(row)),
        ]
        for row in TRANSITIONS
    )
    return table(("#", "from", "command (who)", "guard", "to", "events → streams"), rows)


def _all_told(row: Transition) -> Iterable[str]:
    """The events of a row; the end of an offer that it withdraws is one line, not two."""
    if any(told.when.endswith("is withdrawn") for told in row.events):
        yield "a live offer is withdrawn"
    for told in row.events:
        if not told.when.endswith("is withdrawn"):
            when = f" ({told.when})" if told.when else ""
            yield f"`{TYPE_OF[told.data].name}` {told.streams}{when}"


def access() -> str:
    rows = (
        [
            action.value,
            *(
                cell.value
                for cell in (
                    line.requester,
                    line.invited,
                    line.participant,
                    line.colleague,
                    line.supervisor,
                )
            ),
        ]
        for action, line in TABLE.items()
    )
    return table(("may", "R", "I", "P", "G", "S"), rows)


def duties() -> str:
    return table(("may", "who"), ([duty.value, office.value] for duty, office in DUTIES.items()))


def streams() -> str:
    return table(("stream", "who"), ([f"`{name}`", who] for name, who in STREAMS.items()))


def timers() -> str:
    rows = (
        [f"`{kind}`", line.key, line.armed_by, line.disarmed_by, line.due, line.becomes]
        for kind, line in TIMERS.items()
    )
    return table(("timer", "key", "armed by", "disarmed by", "due", "becomes"), rows)


def commands() -> str:
    rows = (
        [
            f"`{name}`",
            ", ".join(sorted(line.realms)),
            line.source.value,
            ", ".join(_arguments(line.command)) or "–",
            _is_open(line.source, is_open=line.is_open, without=line.without),
        ]
        for name, line in COMMANDS.items()
    )
    return table(("command", "realm", "from", "arguments", "open to clients"), rows)


def _arguments(command: Any) -> Iterable[str]:
    """The arguments beside the conversation; those with a default may be left out."""
    for each in dataclasses.fields(command):
        if each.name != "conv":
            optional = each.default is not dataclasses.MISSING
            yield f"`{each.name}`{'?' if optional else ''}"


def _is_open(source: Source, *, is_open: bool, without: Iterable[str]) -> str:
    if source is not Source.CLIENT:
        return "never"
    if not is_open:
        return "not yet"
    left_out = _codes_of(sorted(without))
    return "yes" if left_out == "–" else f"yes, not yet {left_out}"


def laws() -> str:
    """What the doctor looks for."""
    return table(("number", "what holds"), LAWS.items())


def desk_settings() -> str:
    rows = (
        [
            f"`{known.name}`",
            str(known.default),
            f"{known.low}–{known.high} {known.unit}",
            known.zero or "–",
            known.meaning,
        ]
        for known in SETTINGS.values()
    )
    return table(("setting", "default", "bounds", "0 means", "what it is"), rows)


def flat() -> str:
    rows = (
        [
            f"`{source}`" if "." in source else f"{source} mark rises",
            f"`{line.status}`",
            _codes_of(key for key in (line.by, line.at) if key),
        ]
        for source, line in FLAT.items()
    )
    return table(("source", "status", "extra"), rows)


def assignable() -> str:
    return " · ".join(f"`{clause}`" for clause in CLAUSES) + "\n"


def waiting_reasons() -> str:
    return " · ".join(f"`{reason}`" for reason in WaitingReason) + "\n"


def rates() -> str:
    rows = ([rate.what, str(rate.most), f"{rate.window_s:,} s"] for rate in RATES)
    return table(("what", "at most", "in"), rows)


def settings() -> str:
    rows = (
        [f"`DESKWIRE_{name.upper()}`", _default(field.default), field.description or ""]
        for name, field in Settings.model_fields.items()
    )
    return table(("setting", "default", "meaning"), rows)


def _default(value: Any) -> str:
    return "–" if value in (None, "") else f"`{value}`"


PARTS: Mapping[str, Callable[[], str]] = {
    "codes": close_codes,
    "frames-down": frames_of(frames.Down),
    "frames-up": frames_of(frames.Up),
    "refusals": refusals,
    "events": events,
    "transitions": transitions,
    "access": access,
    "duties": duties,
    "streams": streams,
    "timers": timers,
    "commands": commands,
    "desk-settings": desk_settings,
    "flat-status": flat,
    "assignable": assignable,
    "waiting-reasons": waiting_reasons,
    "rates": rates,
    "settings": settings,
    "laws": laws,
}


def renewed(page: str) -> str:
    """The page with its generated parts as the code has them now."""
    return BLOCK.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], page)


def frames_schema() -> str:
    """JSON schema of every frame, both ways."""
    _, parts = msgspec.json.schema_components(
        [*typing.get_args(frames.Up), *typing.get_args(frames.Down)],
        ref_template="#/$defs/{name}",
    )
    up = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in typing.get_args(frames.Up)]
    down = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in typing.get_args(frames.Down)]
    return _json({"title": "desk.v1", "up": {"anyOf": up}, "down": {"anyOf": down}, "$defs": parts})


def openapi(api: Any) -> str:
    """The HTTP schema of a built desk's API."""
    return _json(api.openapi())


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def generated() -> Mapping[Path, str]:
    """Every generated file and what it must hold."""
    pages = {path: renewed(path.read_text("utf-8")) for path in (ROOT / "docs").rglob("*.md")}
    return {
        **pages,
        ROOT / "contract" / "frames.schema.json": frames_schema(),
        ROOT / "contract" / "openapi.json": openapi(_api()),
        CODES_TS: codes_ts(),
    }


CODES_TS = ROOT / "frontend" / "client" / "contract" / "codes.ts"
CODE_ROWS = re.compile(r"(CODES: readonly Row\[\] = \[\n).*?(\];\n)", re.DOTALL)


def codes_ts() -> str:
    """The client's table of close codes, row by row from ours."""
    rows = "".join(
        f'  [{c.code}, "{c.again}", "{c.delay.wait}", {c.delay.least_ms}, {c.delay.most_ms}], '
        f"// {c.name}\n"
        for c in _codes()
    )
    return CODE_ROWS.sub(lambda found: found[1] + rows + found[2], CODES_TS.read_text("utf-8"))


def _api() -> Any:
    from deskwire.app import Configuration, Desk, WeComSettings

    wecom = WeComSettings(
        corp_id="ww",
        agent_id=1,
        secret="-",
        api_url="http://127.0.0.1",
        open_url="http://127.0.0.1",
        login_url="http://127.0.0.1",
    )
    desk = Desk(
        Configuration(
            database_url="sqlite+aiosqlite:///unused.db",
            origins=("http://127.0.0.1:8000",),
            wecom=wecom,
        )
    )
    return desk.api


if __name__ == "__main__":
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

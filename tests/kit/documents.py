"""The generated parts of `docs/` and `contract/`, from the tables in the code.

`python tests/kit/documents.py` writes them; `tests/test_docs.py` fails where they are stale.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from deskwire.desk.commands import NAMES
from deskwire.desk.conversation import TRANSITIONS
from deskwire.desk.events import EVENT_TYPES
from deskwire.desk.refusals import MEANINGS
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
        [str(STATUS[code]), f"`{code}`", f"`{meaning.retry}`", meaning.message]
        for code, meaning in MEANINGS.items()
    )
    return table(("status", "code", "retry", "meaning"), rows)


def events() -> str:
    rows = (
        [
            f"`{kind.name}`",
            kind.clearance.value,
            " ".join(kind.streams),
            ", ".join(field.encode_name for field in msgspec.structs.fields(kind.data)),
        ]
        for kind in EVENT_TYPES
    )
    return table(("event", "clearance", "streams", "data"), rows)


def transitions() -> str:
    rows = (
        [t.no, ", ".join(s or "–" for s in t.frm), f"`{NAMES[t.command]}`", t.to.value]
        for t in TRANSITIONS
    )
    return table(("#", "from", "command", "to"), rows)


def settings() -> str:
    rows = (
        [f"`DESKWIRE_{name.upper()}`", _default(field.default), field.description or ""]
        for name, field in Settings.model_fields.items()
    )
    return table(("setting", "default", "meaning"), rows)


def _default(value: Any) -> str:
    return "–" if value is None else f"`{value}`"


PARTS: Mapping[str, Callable[[], str]] = {
    "codes": close_codes,
    "frames-down": frames_of(frames.Down),
    "frames-up": frames_of(frames.Up),
    "refusals": refusals,
    "events": events,
    "transitions": transitions,
    "settings": settings,
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

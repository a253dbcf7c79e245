"""Every log line: how it is named, carried and written.

A line is an event name and fields; ids may stand in it, the text of a message never. The lines go
through the standard library's `logging` under "deskwire.<room>", so that an app which embeds a room
keeps its own handlers. Must never know: any other file of ours.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, MutableMapping
from typing import Any, cast

import structlog
from structlog.stdlib import BoundLogger

Logger = BoundLogger


def logger(room: str) -> Logger:
    """The logger of one room.

    Nothing is configured or written before a handler of the standard library asks for it.
    """
    wrapped = structlog.wrap_logger(
        logging.getLogger(f"deskwire.{room}"),
        wrapper_class=BoundLogger,
        processors=[structlog.stdlib.filter_by_level, _to_standard_library],
    )
    return cast(Logger, wrapped)


def configure(*, as_json: bool, level: int = logging.INFO, others: Iterable[str] = ()) -> None:
    """Send our lines to standard error, as JSON or for a person to read.

    `others` are loggers of libraries whose lines belong among ours. For the console; an embedding
    app never calls it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Plain())
    for name in ("deskwire", *others):
        lines = logging.getLogger(name)
        lines.handlers[:] = [handler]
        lines.setLevel(level)
        lines.propagate = False


def _to_standard_library(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    name = str(event.pop("event"))
    exc_info = event.pop("exc_info", None)
    fields = dict(event)
    text = " ".join([name, *(f"{key}={value!r}" for key, value in fields.items())])
    # Percent signs in a field must not be taken for a format: the message is passed without
    # arguments.
    return (text,), {"exc_info": exc_info, "extra": {"deskwire": {"event": name, **fields}}}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "deskwire", {"event": record.getMessage()})
        line = {
            "at": int(record.created * 1000),
            "level": record.levelname.lower(),
            "room": record.name.removeprefix("deskwire."),
            **fields,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():7} {record.name} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

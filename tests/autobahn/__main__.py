"""The Autobahn suite against our wire: `python -m tests.autobahn [--cases 1.*,7.*]`.

The suite speaks Python 2.7 only. One is looked for in $DESKWIRE_PYTHON27, on the PATH and among
pyenv's; it installs the suite into a folder of this run, and nothing else ever sees it. Test-only,
loopback only, never in CI. Exit code 1 if a case fails that is not known below.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from deskwire.realtime.asgi import AsgiSocket, own_socket
from deskwire.realtime.frames import Framed, PeerFault
from deskwire.realtime.tasks import Tasks
from deskwire.realtime.uvicorn_protocol import UvicornProtocol

SUITE: Final = "autobahntestsuite==25.10.1"
MESSAGE_BYTES_MAX: Final = 64 * 1024
GOOD: Final = frozenset(("OK", "NON-STRICT", "INFORMATIONAL"))

# Why a case may fail. Groups 9 (limits) and 12, 13 (compression) are judged in `judged`.
KNOWN: Final = {
    ("asgi", "7.1.5"): "uvicorn's class: a close between two pieces is answered 1002, not 1000",
}

RUN: Final = """
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite import wstest
wstest.run()
"""


# --- under test ----------------------------------------------------------------------------------


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An app in plain ASGI, on whatever class serves it."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class TransportEcho:
    """The same through the transport a manager writes to; binary messages go by ASGI's road."""

    def __init__(self) -> None:
        self._tasks = Tasks()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        transport = own_socket(scope) or AsgiSocket(receive, send, self._tasks)

        def heard(data: str | bytes | PeerFault) -> None:
            if isinstance(data, PeerFault):
                transport.close(1003, "text only")
            else:
                transport.write([Framed(data.encode() if isinstance(data, str) else data)])

        reading = transport.listen(heard, lambda: None)
        if reading is not None:
            await reading


SUBJECTS: Final[dict[str, tuple[Any, Any, bool]]] = {  # app, uvicorn's ws, text only
    "ours": (echo, UvicornProtocol, False),
    "ours, handed over": (TransportEcho(), UvicornProtocol, True),
    "asgi": (TransportEcho(), "websockets-sansio", True),
}


@asynccontextmanager
async def serving(app: Any, ws: Any) -> Any:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="off",
        ws=ws,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve(sockets=[listener]))
        while not server.started and not running.done():  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True


# --- the suite -----------------------------------------------------------------------------------


def candidates() -> Iterator[str]:
    if named := os.environ.get("DESKWIRE_PYTHON27"):
        yield named
    for name in ("python2.7", "python2"):
        if found := shutil.which(name):
            yield found
    roots = [os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")]
    for root in filter(None, roots):
        yield from map(str, sorted(Path(root).glob("versions/2.7*/bin/python2.7")))


def python27() -> str | None:
    """One that starts (a shim may not) and has pip."""
    for each in candidates():
        try:
            answer = subprocess.run(
                [each, "-c", "import sys, pip; print(sys.version_info[:2] == (2, 7))"],
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.stdout.strip() == "True":
            return each
    return None


def install(python: str, folder: Path) -> str:
    """An empty string, or why not."""
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--target", str(folder), SUITE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stderr.strip()[-600:]


async def fuzz(python: str, suite: Path, work: Path, name: str, cases: list[str]) -> dict[str, Any]:
    app, ws, _ = SUBJECTS[name]
    reports = work / "reports"
    async with serving(app, ws) as port:
        spec = {
            "outdir": str(reports),
            "servers": [{"agent": name, "url": f"ws://127.0.0.1:{port}"}],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (work / "spec.json").write_text(json.dumps(spec))
        (work / "run.py").write_text(RUN)
        process = await asyncio.create_subprocess_exec(
            python, str(work / "run.py"), str(suite), "-m", "fuzzingclient", "-s", "spec.json",
            cwd=work, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await process.communicate()
    index = reports / "index.json"
    if not index.exists():
        raise SystemExit(f"The suite gave no report on {name}:\n{errors.decode()[-2000:]}")
    report: dict[str, Any] = json.loads(index.read_text())[name]
    for case, row in report.items():
        row["detail"] = json.loads((reports / row["reportfile"]).read_text())
        row["case"] = case
    return report


# --- judging -------------------------------------------------------------------------------------


def judged(name: str, case: str, row: dict[str, Any]) -> tuple[str, str]:
    """What is said of one case, and why it may be so."""
    behavior, closing = row["behavior"], row["behaviorClose"]
    group = case.split(".", maxsplit=1)[0]
    detail = row["detail"]
    if behavior in GOOD and closing in GOOD:
        return behavior, ""
    if behavior == "UNIMPLEMENTED":
        return behavior, "compression is never agreed on" if group in {"12", "13"} else ""
    if (name, case) in KNOWN:
        return "KNOWN", KNOWN[name, case]
    code = detail.get("remoteCloseCode")
    if group in {"9", "10"} and code == 1009:
        return "KNOWN", "over our 64 KiB: a clean 1009"
    if SUBJECTS[name][2] and code == 1003:
        return "KNOWN", "binary: this socket speaks text only, a clean 1003"
    return "FAILED", f"{behavior}, close {closing} ({code}): {detail.get('result', '')[:120]}"


def summed(name: str, report: dict[str, Any]) -> list[str]:
    print(f"\n{name}: {len(report)} cases")
    verdicts = {case: judged(name, case, row) for case, row in report.items()}
    for verdict, count in Counter(v for v, _ in verdicts.values()).most_common():
        print(f"  {count:4} {verdict}")
    for why, count in Counter(w for v, w in verdicts.values() if w and v != "FAILED").items():
        print(f"       {count:4} × {why}")
    failed = [f"{name} {case}: {why}" for case, (v, why) in verdicts.items() if v == "FAILED"]
    print("\n".join(f"  FAILED {line}" for line in failed[:40]), end="")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=__doc__)
    parser.add_argument("--cases", default="*", help="as the suite names them: 1.*,7.1.5")
    parser.add_argument("--only", choices=sorted(SUBJECTS), help="one of the subjects")
    asked = parser.parse_args()
    python = python27()
    if python is None:
        print("Skipped: the Autobahn suite needs Python 2.7 with pip, and none was found")
        print("(looked at $DESKWIRE_PYTHON27, python2.7 on the PATH, pyenv's versions).")
        return 0
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        suite = Path(folder) / "suite"
        if why := install(python, suite):
            print(f"Skipped: {SUITE} could not be installed by Python 2.7:\n{why}")
            return 0
        for n, name in enumerate([asked.only] if asked.only else SUBJECTS):
            work = Path(folder) / f"run-{n}"
            work.mkdir()
            report = asyncio.run(fuzz(python, suite, work, name, asked.cases.split(",")))
            failed += summed(name, report)
    print(f"\n{len(failed)} failed that should not." if failed else "\nNothing failed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The client as somebody else gets it from npm: typed, small, and at work in plain Node."""

from __future__ import annotations

import gzip
import json
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit import client_package
from tests.kit.employee import browser, cookie, opened, say, signed_in
from tests.kit.script import Script
from tests.kit.server import DeskServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
TSC = ROOT / "frontend" / "node_modules" / "typescript" / "bin" / "tsc"
VITE = ROOT / "frontend" / "node_modules" / "vite" / "bin" / "vite.js"
KB_MAX = {"@deskwire/client": 8, "@deskwire/client/desk": 16}  # gzip, 1000 B; desk holds both

LIVE = ("state live", "live conv:")  # as the two programs say it

CONSUMER = """
import { CODES, Delivery, openSocket } from "@deskwire/client";
import type { Out, Positions, Socket } from "@deskwire/client";
import { foldConversation, openDesk, type Desk } from "@deskwire/client/desk";

const socket: Socket = openSocket({ realm: "employee", client: "x/1", login: async () => {} });
const places: Positions = { "room:1": ["epoch-01", 1] };
socket.watch(places, { apply: (stream: string, position: number) => {}, lost() {} });
export const outs: Out[] = new Delivery("x/1", Math.random).start(0);
export const codes: number[] = CODES.map(([code]) => code);
export const open = (): Desk =>
  openDesk({ realm: "employee", client: "x/1", keep: "memory", login: async () => {} });
export const fold = foldConversation;
// @ts-expect-error  a position is a number
export const wrong: Positions = { "room:1": ["epoch-01", "1"] };
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return client_package.packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def home(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return client_package.installed(tarball, tmp_path_factory.mktemp("somebody") / "else")


def test_it_holds_what_was_compiled_its_types_and_the_licence(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        licence = archive.extractfile("package/LICENSE")
        manifest: Any = archive.extractfile("package/package.json")
        held, described = licence and licence.read(), json.load(manifest)

    compiled = {name for name in names if name.startswith("dist/")}
    assert names - compiled == {"package.json", "README.md", "LICENSE"}
    assert all(name.endswith((".js", ".d.ts")) for name in compiled)
    assert {name.removesuffix(".js") for name in compiled if name.endswith(".js")} == {
        name.removesuffix(".d.ts") for name in compiled if name.endswith(".d.ts")
    }
    assert held == (ROOT / "LICENSE").read_bytes()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert described["version"] == project["version"]


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_its_types_hold_in_a_program_of_somebody_else(home: Path, resolution: str) -> None:
    (home / "consumer.ts").write_text(CONSUMER, "utf-8")
    module = "esnext" if resolution == "bundler" else "nodenext"
    options = ["--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022"]

    client_package.run(
        client_package.node(
            TSC, *options, "--module", module, "--moduleResolution", resolution, "consumer.ts"
        ),
        home,
    )


@pytest.mark.parametrize("entry", KB_MAX)
def test_a_bundler_makes_a_small_file_of_each_entry(home: Path, entry: str, tmp_path: Path) -> None:
    source = home / "entry.js"
    source.write_text(f'export * from "{entry}";\n')
    settings = {
        "logLevel": "warn",
        "build": {
            "outDir": str(tmp_path),
            "target": ["es2019", "chrome78", "safari13"],
            "lib": {"entry": str(source), "formats": ["iife"], "name": "x", "fileName": "bundle"},
        },
    }
    (home / "vite.config.js").write_text(f"export default {json.dumps(settings)};\n")

    client_package.run(client_package.node(VITE, "build"), home)

    bundle = next(tmp_path.glob("bundle*")).read_bytes()
    size_kb = len(gzip.compress(bundle, mtime=0)) / 1_000
    assert size_kb <= KB_MAX[entry], f"{entry}: {size_kb:.1f} kB"
    assert (b"Command-Id" in bundle) == entry.endswith("desk"), "the first never holds the second"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DeskServer]:
    with DeskServer(tmp_path) as running:
        yield running


PROGRAMS = {
    "with-the-package": client_package.example("In Node"),
    "from-the-wire-alone": client_package.example("A whole client", ROOT / "docs" / "protocol.md"),
}


def test_the_programs_of_the_docs_in_plain_node_are_cut_resume_and_are_drained(
    server: DeskServer, home: Path
) -> None:
    """On another process with the same log they go on: each event once, in order."""
    with browser(server) as client, ExitStack() as stack:
        conv_id = opened(signed_in(client, "wujing"), "第一条")
        login = {"DESK_URL": server.url, "DESK_COOKIE": cookie(client)}
        readers = {name: stack.enter_context(_started(home, name, login)) for name in PROGRAMS}
        for reader in readers.values():
            reader.wait_for(lambda lines: any(line.startswith(LIVE) for line in lines))
        began = _position(client, conv_id)

        say(client, conv_id, "第二条")
        _all_hear(readers, conv_id, [began + 1])
        server.restart()
        say(client, conv_id, "第三条")
        _all_hear(readers, conv_id, [began + 1, began + 2])
        server.stop()
        for reader in readers.values():
            reader.wait_for(lambda lines: "state reconnecting 4001" in lines)
        server.start()
        say(client, conv_id, "第四条")
        _all_hear(readers, conv_id, [began + 1, began + 2, began + 3])

        assert all("state reconnecting 1006" in reader.lines for reader in readers.values())
        assert readers["with-the-package"].stop() == 0, "closed, nothing keeps Node alive"


def _started(home: Path, name: str, login: dict[str, str]) -> Script:
    (home / f"{name}.js").write_text(PROGRAMS[name], "utf-8")
    return Script(client_package.node(f"{name}.js"), home, client_package.npm()[1] | login)


def _all_hear(readers: Mapping[str, Script], conv_id: str, positions: list[int]) -> None:
    for reader in readers.values():
        reader.wait_for(lambda lines: _heard(lines, conv_id) == positions)


def _position(client: Any, conv_id: str) -> int:
    boot = client.get("/api/employee/boot").raise_for_status().json()
    position: int = boot["positions"][f"conv:{conv_id}"][1]
    return position


def _heard(lines: list[str], conv_id: str) -> list[int]:
    """Positions of the messages that a program printed."""
    return [
        int(words[2])
        for words in map(str.split, lines)
        if words[:2] == ["event", f"conv:{conv_id}"] and words[3] == "message.posted"
    ]

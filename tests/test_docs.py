"""The documents as a program: generated parts are fresh, links resolve, words mean one thing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import documents

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = ("python3 dev.py run", "python3 dev.py test")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)

# The glossary's rivals, and the word to use instead.
RIVALS = {
    "ticket": "conversation",
    "session": "login",
    "chat": "conversation",
    "operator": "agent",
    "customer": "employee",
    "cursor": "position",
    "topic": "stream",
}
# Where a rival is somebody else's word and stands for their thing.
ALLOWED = {
    # The drivers' and our lists' own cursors page through rows; positions are for streams.
    ("cursor", "storage/dialects.py"),
    ("cursor", "storage/views.py"),
    # WeCom calls one of its own values so (D91023).
    ("ticket", "wecom/errors.py"),
    ("ticket", "wecom/messages.py"),
}


def test_every_generated_part_is_fresh() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in documents.generated().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]

    assert not stale, f"stale: {stale}; run: python tests/kit/documents.py"


def test_every_part_that_can_be_generated_stands_in_some_page() -> None:
    found = {match[2] for page in PAGES for match in documents.BLOCK.finditer(page.read_text())}

    assert found == set(documents.PARTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text("utf-8"))]
    inside = [target for target in targets if target and "://" not in target]

    broken = [target for target in inside if not (page.parent / target).exists()]

    assert not broken


def test_both_readmes_give_the_same_commands_and_pictures() -> None:
    english, chinese = (ROOT / name for name in ("README.md", "README.zh-CN.md"))
    texts = [path.read_text("utf-8") for path in (english, chinese)]

    blocks = [FENCE.findall(text) for text in texts]
    pictures = [re.findall(r"docs/images/[\w.-]+", text) for text in texts]

    assert blocks[0] == blocks[1]
    assert pictures[0] == pictures[1]
    assert all(any(command in code for _, code in blocks[0]) for command in COMMANDS)


def test_the_python_of_the_readme_runs() -> None:
    blocks = [
        code for kind, code in FENCE.findall((ROOT / "README.md").read_text()) if kind == "python"
    ]

    for code in blocks:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)

    assert blocks


def test_the_commands_of_the_readme_are_commands_of_dev_py() -> None:
    shown = subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout

    assert all(re.search(rf"\b{command.split()[-1]}\b", shown) for command in COMMANDS)


def test_every_console_command_is_named_in_the_docs() -> None:
    from deskwire.cli import app

    text = "".join(page.read_text("utf-8") for page in PAGES)
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    names += [
        f"{group.typer_instance.info.name} {command.callback.__name__}"
        for group in app.registered_groups
        if group.typer_instance
        for command in group.typer_instance.registered_commands
        if command.callback
    ]

    assert names
    assert all(f"deskwire {name}" in text for name in names)


def test_no_identifier_uses_a_rival_of_the_glossary() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name} says {rival}; the word is {RIVALS[rival]}"
        for path in sorted((ROOT / "src" / "deskwire").rglob("*.py"))
        for name, line in _identifiers(path)
        for rival in RIVALS
        if rival in re.split(r"_|(?<=[a-z])(?=[A-Z])", name) + name.lower().split("_")
        and (rival, path.relative_to(ROOT / "src" / "deskwire").as_posix()) not in ALLOWED
    ]

    assert not found, "\n" + "\n".join(found)


def _identifiers(path: Path) -> Iterator[tuple[str, int]]:
    """Names that we give: of functions, classes, arguments, and what is assigned."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case _:
                continue


def test_no_page_or_source_holds_a_path_of_one_machine() -> None:
    suspicious = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w+")

    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*PAGES, *sorted((ROOT / "src").rglob("*.py"))]
        for match in suspicious.finditer(path.read_text("utf-8"))
    ]

    assert not found


def test_every_source_file_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src" / "deskwire").rglob("*.py"))
        if "migrations" not in path.parts and not _has_docstring(path)
    ]

    assert not silent


def _has_docstring(path: Path) -> bool:
    with path.open("rb") as file:
        kinds = [
            token for token in tokenize.tokenize(file.readline) if token.type == tokenize.STRING
        ]
    return bool(kinds) and ast.get_docstring(ast.parse(path.read_text("utf-8"))) is not None

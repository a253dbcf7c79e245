"""Where a Chromium and its fonts are. Standard library only: `dev.py` asks without a venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge")
OWN_FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "browsers"
OWN_PATTERNS = (
    "chromium_headless_shell-*/*/*headless_shell*",
    "chromium-*/*/chrome",
    "chromium",  # unpacked from npm's @sparticuz/chromium
)
FONTS = {"fonts-noto-cjk": ":lang=zh-cn", "fonts-noto-color-emoji": ":lang=und-zsye"}


def find_chromium() -> str | None:
    """The one named by DESKWIRE_TEST_CHROMIUM, one on PATH, or one that dev.py has fetched."""
    named = os.environ.get("DESKWIRE_TEST_CHROMIUM")
    if named:
        return shutil.which(named)
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    for pattern in OWN_PATTERNS:
        for path in sorted(OWN_FOLDER.glob(pattern)):
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
    return None


def launch_flags() -> list[str]:
    """What Chromium needs here: no /dev/shm in containers, no sandbox for root, steady glyphs."""
    flags = [
        "--disable-dev-shm-usage",
        "--font-render-hinting=none",
        # a test machine may have no way out: these would ask for it, many times over
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    return flags


def missing_fonts() -> list[str]:
    """Debian packages without which Chinese or emoji would be boxes; Linux only."""
    if sys.platform != "linux":
        return []
    if shutil.which("fc-list") is None:
        return list(FONTS)
    return [package for package, pattern in FONTS.items() if not _fonts(pattern)]


def _fonts(pattern: str) -> str:
    asked = ["fc-list", pattern, "family"]
    return subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout

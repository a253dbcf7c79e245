"""The console: one file, one console command."""

from __future__ import annotations

import typer

from deskwire.cli.admin import admin
from deskwire.cli.bench import bench
from deskwire.cli.demo import demo
from deskwire.cli.doctor import doctor
from deskwire.cli.export import export
from deskwire.cli.migrate import migrate
from deskwire.cli.serve import serve

HELP = "IT service desk for WeCom (企业微信), and the real-time connection manager at its heart."

app = typer.Typer(
    name="deskwire",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(bench)
app.command()(demo)
app.command()(doctor)
app.command()(export)
app.command()(migrate)
app.command()(serve)
app.add_typer(admin)


def main() -> None:
    """Run the console; the exit status is 0 for success, 1 for a failure, 2 for a wrong call."""
    app()

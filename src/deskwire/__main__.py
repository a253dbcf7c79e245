"""`python -m deskwire`: the same console as the installed command."""

import sys


def main() -> None:
    """The installed command. Ctrl-C is no fault, not even while the program is still loading."""
    try:
        from deskwire.cli import main as console

        console()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

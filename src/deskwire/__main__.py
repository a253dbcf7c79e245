"""`python -m deskwire`: the same console as the installed command."""

from deskwire.cli import main

if __name__ == "__main__":
    main()

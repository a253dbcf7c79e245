"""The Autobahn suite as a command of its own; see `__main__`."""

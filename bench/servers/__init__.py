"""The servers under test. Each broadcasts when told to on stdin and answers on stdout."""

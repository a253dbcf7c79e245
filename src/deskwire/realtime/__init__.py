"""The connection manager: it knows streams and bytes, not desks."""

"""The door: HTTP words only. Parses, asks a flow, answers."""

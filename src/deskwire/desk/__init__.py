"""The rules.

Dataclasses in, dataclasses out. Nothing here waits, reads a clock or touches the world.
"""

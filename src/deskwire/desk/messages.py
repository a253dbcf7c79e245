"""What may stand in a message.

The text is kept exactly as written: nothing is trimmed, folded or replaced.
"""

from __future__ import annotations

from deskwire.desk.refusals import Code, Refusal, invalid

TEXT_CHARS_MAX = 4_000
REASONS_MAX = 8
REASON_CHARS_MAX = 40
COMMENT_CHARS_MAX = 500
NOTE_CHARS_MAX = 500


def check_body(body: str) -> Refusal | None:
    """Refuse an empty text, one over 4,000 code points, and one that no database or JSON can
    carry.
    """
    if len(body) > TEXT_CHARS_MAX:
        return Refusal(Code.TOO_LARGE, {"field": "body", "max": TEXT_CHARS_MAX})
    if not body.strip() or not is_storable(body):
        return invalid("body")
    return None


def check_rating(score: int, reasons: tuple[str, ...], comment: str) -> Refusal | None:
    """Refuse a score outside 1 to 5, more than eight reasons, and text over its bound."""
    if not 1 <= score <= 5:
        return invalid("score")
    if len(reasons) > REASONS_MAX or not all(_is_reason(reason) for reason in reasons):
        return invalid("reasons")
    if len(comment) > COMMENT_CHARS_MAX or not is_storable(comment):
        return invalid("comment")
    return None


def check_note(note: str | None) -> Refusal | None:
    """A note on a change of state may be missing; if there, at most 500 code points."""
    if note is not None and (len(note) > NOTE_CHARS_MAX or not is_storable(note)):
        return invalid("note")
    return None


def is_storable(text: str) -> bool:
    """NUL cannot stand in PostgreSQL's text, a lone surrogate in no UTF-8 at all."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _is_reason(reason: str) -> bool:
    return 0 < len(reason) <= REASON_CHARS_MAX and is_storable(reason)

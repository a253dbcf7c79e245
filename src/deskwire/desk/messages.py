"""What may stand in a message, and how it is taken back.

The text is kept exactly as written: nothing is trimmed, folded or replaced. A message is withdrawn
at most once for its readers, and for good: recalled by its author, or redacted by a supervisor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deskwire.desk.people import PersonId, PersonRef, Principal
from deskwire.desk.refusals import Code, Refusal, invalid

TEXT_CHARS_MAX = 4_000
REASONS_MAX = 8
REASON_CHARS_MAX = 40
COMMENT_CHARS_MAX = 500
NOTE_CHARS_MAX = 500
ATTACHMENTS_MAX = 9
MENTIONS_MAX = 20
FILE_NAME_CHARS_MAX = 255
IMAGE_BYTES_MAX = 10 * 1024 * 1024
FILE_BYTES_MAX = 20 * 1024 * 1024
STAGED_MS = 24 * 3600 * 1000  # how long an upload waits for the message that names it

# The first bytes of what counts as an image; WebP's own name stands behind its length.
_MAGIC: Mapping[str, tuple[bytes, ...]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
IMAGE_TYPES = (*_MAGIC, "image/webp")


class AttachmentKind(StrEnum):
    """Whether an upload is shown as a picture or as a file."""

    IMAGE = "image"
    FILE = "file"


class Withdrawn(StrEnum):
    """How a message was taken back."""

    RECALLED = "recalled"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An upload. `conv` is none while it is staged; `type` comes from its first bytes."""

    id: str
    owner: Principal
    kind: AttachmentKind
    name: str
    bytes: int
    type: str
    width: int | None = None
    height: int | None = None
    sha256: str = ""
    conv: str | None = None
    withdrawn_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message or note as it stands in the log: all that decides about taking it back.

    `position` is on its own stream: `conv:<id>`, or `conv:<id>:staff` for a note.
    """

    msg_id: str
    is_note: bool
    author: Principal
    position: int
    at: int
    withdrawn: Withdrawn | None = None
    mentions: tuple[PersonId, ...] = ()
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A public message as far as marks are concerned."""

    msg_id: str
    position: int
    author: Principal
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A colleague's public message that the writer may not have seen."""

    msg_id: str
    position: int
    author: PersonRef
    kind: str
    body: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What the store does when a message is taken back, in the one transaction.

    Its row is emptied, the stored `message.posted` or `note.posted` becomes its tombstone
    (`events.tombstone`), its attachments are served no more, search forgets it. The original is
    kept aside with `keeps_original`, else destroyed, also one that was kept before.
    """

    msg_id: str
    is_note: bool
    how: Withdrawn
    keeps_original: bool
    attachments: tuple[str, ...] = ()


def check_content(
    kind: str, body: str, named: Sequence[str], found: Sequence[Attachment], owner: Principal
) -> Refusal | None:
    """Refuse what is no message of this kind.

    A text has words and nothing else. An image has 1 to 9 uploads that are images, a file 1 to 9 of
    any kind; both may have words. `found` are those among `named` that exist.
    """
    if kind == "text":
        return invalid("attachments") if named else check_body(body)
    if not named:
        return invalid("attachments")
    if kind == "image" and any(each.kind is not AttachmentKind.IMAGE for each in found):
        return Refusal(Code.TYPE_NOT_ALLOWED)
    return check_words(body) or check_attachments(named, found, owner)


def check_note_content(
    body: str, named: Sequence[str], found: Sequence[Attachment], owner: Principal
) -> Refusal | None:
    """A note has words, attachments, or both."""
    if not named:
        return check_body(body)
    return check_words(body) or check_attachments(named, found, owner)


def check_attachments(
    named: Sequence[str], found: Sequence[Attachment], owner: Principal
) -> Refusal | None:
    """Each once, at most nine, and each an upload of one's own that no message has yet."""
    if len(named) > ATTACHMENTS_MAX or len(set(named)) != len(named):
        return invalid("attachments")
    staged = {each.id for each in found if each.owner == owner and each.conv is None}
    return None if staged.issuperset(named) else invalid("attachments")


def check_body(body: str) -> Refusal | None:
    """Refuse an empty text, one over 4,000 code points, and one that no database or JSON can
    carry.
    """
    if refusal := check_words(body):
        return refusal
    return None if body.strip() else invalid("body")


def check_words(body: str) -> Refusal | None:
    """The same, for words that may be missing."""
    if len(body) > TEXT_CHARS_MAX:
        return Refusal(Code.TOO_LARGE, {"field": "body", "max": TEXT_CHARS_MAX})
    return None if is_storable(body) else invalid("body")


def check_upload(name: str, size: int, head: bytes) -> AttachmentKind | Refusal:
    """What an upload is, by its first 16 bytes, or why it is not taken. Blind to what it is called.

    An empty upload is no upload. An image has at most 10 MB, any other file 20 MB.
    """
    if not 0 < len(name) <= FILE_NAME_CHARS_MAX or not is_storable(name):
        return invalid("name")
    if size <= 0:
        return invalid("body")
    is_image = image_type(head) is not None
    most = IMAGE_BYTES_MAX if is_image else FILE_BYTES_MAX
    if size > most:
        return Refusal(Code.TOO_LARGE, {"max": most})
    return AttachmentKind.IMAGE if is_image else AttachmentKind.FILE


def image_type(head: bytes) -> str | None:
    """The type of a raster image by its first 16 bytes, none for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((name for name, marks in _MAGIC.items() if head.startswith(marks)), None)


def check_rating(score: int, reasons: tuple[str, ...], comment: str) -> Refusal | None:
    """Refuse a score outside 1 to 5, more than eight reasons, and text over its bound."""
    if not 1 <= score <= 5:
        return invalid("score")
    if len(reasons) > REASONS_MAX or not all(_is_reason(reason) for reason in reasons):
        return invalid("reasons")
    if len(comment) > COMMENT_CHARS_MAX or not is_storable(comment):
        return invalid("comment")
    return None


def check_note(note: str | None, field: str = "note") -> Refusal | None:
    """A note on a change of state may be missing; if there, at most 500 code points."""
    if note is not None and (len(note) > NOTE_CHARS_MAX or not is_storable(note)):
        return invalid(field)
    return None


def check_required(note: str, field: str = "note") -> Refusal | None:
    """A note that must say something."""
    return check_note(note, field) or (None if note.strip() else Refusal(Code.NOTE_REQUIRED))


def recall_refused(
    posted: Posted, by: Principal, *, is_closed: bool, window_s: int, now: int
) -> Refusal | None:
    """Only the author recalls, within the window by the server's clock, in what is not closed.

    What is withdrawn already is not asked about: a second recall succeeds and changes nothing.
    """
    if posted.author != by:
        return Refusal(Code.NOT_ALLOWED)
    if posted.withdrawn is not None:
        return None
    if is_closed:
        return Refusal(Code.CLOSED)
    if not window_s or now - posted.at > window_s * 1000:
        return Refusal(Code.RECALL_WINDOW_OVER)
    return None


def is_storable(text: str) -> bool:
    """NUL cannot stand in PostgreSQL's text, a lone surrogate in no UTF-8 at all."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _is_reason(reason: str) -> bool:
    return 0 < len(reason) <= REASON_CHARS_MAX and is_storable(reason)

from __future__ import annotations

import pytest

from deskwire.desk.messages import (
    TEXT_CHARS_MAX,
    Attachment,
    AttachmentKind,
    Withdrawn,
    check_attachments,
    check_body,
    check_content,
    check_note,
    check_note_content,
    check_required,
    check_upload,
    image_type,
    recall_refused,
)
from deskwire.desk.people import Actor
from deskwire.desk.refusals import Code, Refusal
from tests.desk.cast import DAY_MS, PEOPLE, START, posted, upload

KEPT = {
    "leading spaces": "    if x:\n        return",
    "trailing newline": "好了\n",
    "windows lines": "a\r\nb\r\n",
    "control characters": "\x01\x07\x1b[31mred\x7f",
    "emoji of several code points": "👩🏽‍💻🇨🇳",
    "combining marks, not folded": "e\u0301 é",
    "right to left": "\u202eevil\u202c",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "markup": "<script>alert(1)</script>",
    "one letter": "a",
    "exactly the bound": "字" * TEXT_CHARS_MAX,
    "the bound in astral code points": "😀" * TEXT_CHARS_MAX,
    "a zero-width joiner alone": "\u200d",
}
REFUSED = {
    "nothing": "",
    "spaces": "   ",
    "all kinds of white space": " \t\r\n\u3000\u00a0\u2028",
    "NUL": "a\0b",
    "a lone high surrogate": "a\ud83d",
    "a lone low surrogate": "\ude00b",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_a_text_that_can_be_kept_is_taken_as_it_is(body: str) -> None:
    assert check_body(body) is None


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_a_text_that_says_or_keeps_nothing_is_refused(body: str) -> None:
    refusal = check_body(body)

    assert refusal is not None
    assert (refusal.code, refusal.detail) == (Code.INVALID, {"field": "body"})


@pytest.mark.parametrize("letter", ["a", "字", "😀", " "])
def test_one_code_point_over_the_bound_is_too_large(letter: str) -> None:
    refusal = check_body(letter * (TEXT_CHARS_MAX + 1))

    assert refusal is not None
    assert (refusal.code, refusal.detail["max"]) == (Code.TOO_LARGE, 4_000)


@pytest.mark.parametrize("note", ["\0", "\udfff"])
def test_a_note_that_cannot_be_kept_is_refused(note: str) -> None:
    refusal = check_note(note)

    assert refusal is not None
    assert refusal.detail == {"field": "note"}


# Kinds --------------------------------------------------------------------------------------------

ANN = PEOPLE["requester"]
IMAGES = [upload(f"a-{n}") for n in range(1, 11)]
A_FILE = upload("f-1", kind=AttachmentKind.FILE, type="application/pdf")


@pytest.mark.parametrize(
    "kind, body, named, says",
    [
        ("text", "好", (), None),
        ("text", "好", ("a-1",), "attachments"),
        ("text", "", (), "body"),
        ("image", "", ("a-1",), None),
        ("image", "看图", ("a-1", "a-2"), None),
        ("image", "", tuple(f"a-{n}" for n in range(1, 10)), None),
        ("image", "", tuple(f"a-{n}" for n in range(1, 11)), "attachments"),
        ("image", "看图", (), "attachments"),
        ("image", "", ("a-1", "a-1"), "attachments"),
        ("image", "", ("a-99",), "attachments"),
        ("image", "a\0", ("a-1",), "body"),
        ("file", "", ("f-1",), None),
        ("file", "", ("f-1", "a-1"), None),
        ("file", "", (), "attachments"),
    ],
)
def test_a_message_has_what_its_kind_needs(
    kind: str, body: str, named: tuple[str, ...], says: str | None
) -> None:
    found = [each for each in (*IMAGES, A_FILE) if each.id in named]

    refusal = check_content(kind, body, named, found, ANN.principal)

    assert (refusal.detail.get("field") if refusal else None) == says


def test_an_image_message_takes_no_other_file() -> None:
    refusal = check_content("image", "", ("f-1",), [A_FILE], ANN.principal)

    assert refusal is not None
    assert refusal.code is Code.TYPE_NOT_ALLOWED


@pytest.mark.parametrize(
    "found",
    [upload("a-1", owner=PEOPLE["invited"]), upload("a-1", conv="conv-9")],
    ids=["somebody else's", "one that a message has"],
)
def test_only_ones_own_staged_upload_is_attached(found: Attachment) -> None:
    assert check_attachments(("a-1",), [found], ANN.principal) is not None


@pytest.mark.parametrize(
    "body, named, is_refused",
    [("好", (), False), ("", ("a-1",), False), ("", (), True), ("字" * 4_001, ("a-1",), True)],
)
def test_a_note_has_words_or_attachments(
    body: str, named: tuple[str, ...], is_refused: bool
) -> None:
    found = [each for each in IMAGES if each.id in named]

    assert (check_note_content(body, named, found, ANN.principal) is not None) == is_refused


# Uploads ------------------------------------------------------------------------------------------

MIB = 1024 * 1024
PNG = b"\x89PNG\r\n\x1a\n".ljust(16, b"\0")


@pytest.mark.parametrize(
    "head, kind",
    [
        (b"\xff\xd8\xff\xe0" + bytes(12), "image/jpeg"),
        (PNG, "image/png"),
        (b"GIF87a" + bytes(10), "image/gif"),
        (b"GIF89a" + bytes(10), "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"<svg xmlns=''>  ", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_first_bytes_say_what_is_an_image(head: bytes, kind: str | None) -> None:
    assert image_type(head) == kind


@pytest.mark.parametrize(
    "name, size, head, says",
    [
        ("a.png", 10 * MIB, PNG, "image"),
        ("a.png", 10 * MIB + 1, PNG, "too_large"),
        ("a.png", 20 * MIB, b"no image", "file"),
        ("a.pdf", 20 * MIB + 1, b"%PDF", "too_large"),
        ("a.exe.txt", 1, b"MZ", "file"),
        ("a.txt", 0, b"", "invalid"),
        ("", 1, b"x", "invalid"),
        ("a" * 256, 1, b"x", "invalid"),
        ("a\0.txt", 1, b"x", "invalid"),
    ],
)
def test_an_upload_is_what_its_bytes_say_within_its_bound(
    name: str, size: int, head: bytes, says: str
) -> None:
    answer = check_upload(name, size, head)

    assert (answer.code.value if isinstance(answer, Refusal) else answer.value) == says


# Taking back --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by, after_ms, window_s, is_closed, says",
    [
        (ANN, 0, 120, False, None),
        (ANN, 120_000, 120, False, None),
        (ANN, 120_001, 120, False, "recall_window_over"),
        (ANN, 0, 0, False, "recall_window_over"),
        (ANN, 0, 120, True, "closed"),
        (PEOPLE["invited"], 0, 120, False, "not_allowed"),
        (PEOPLE["requester_as_agent"], 0, 120, False, "not_allowed"),
    ],
)
def test_the_author_recalls_within_the_window(
    by: Actor, after_ms: int, window_s: int, is_closed: bool, says: str | None
) -> None:
    refusal = recall_refused(
        posted(ANN), by.principal, is_closed=is_closed, window_s=window_s, now=START + after_ms
    )

    assert (refusal.code.value if refusal else None) == says


@pytest.mark.parametrize("how", Withdrawn)
def test_a_second_recall_is_never_too_late(how: Withdrawn) -> None:
    said = posted(ANN, withdrawn=how)

    refusal = recall_refused(said, ANN.principal, is_closed=True, window_s=0, now=START + DAY_MS)

    assert refusal is None


@pytest.mark.parametrize(
    "note, says",
    [("好", None), ("n" * 500, None), ("n" * 501, "invalid"), ("", "note_required"),
     (" \n", "note_required"), ("\0", "invalid")],
)  # fmt: skip
def test_a_required_note_says_something(note: str, says: str | None) -> None:
    refusal = check_required(note)

    assert (refusal.code.value if refusal else None) == says

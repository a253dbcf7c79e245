from __future__ import annotations

import pytest

from deskwire.desk.messages import TEXT_CHARS_MAX, check_body, check_note
from deskwire.desk.refusals import Code

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

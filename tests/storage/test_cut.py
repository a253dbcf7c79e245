from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.storage.cut import TERM_CHARS_MAX, TERMS_ASKED_MAX, TEXT_CHARS_MAX, phrases, terms

CUT = {
    "Chinese": ("打印机", ["打印", "印机", "机"]),
    "one character": ("网", ["网"]),
    "Latin": ("Outlook 365", ["outlook", "365"]),
    "both without a space": ("VPN连不上wifi", ["vpn", "连不", "不上", "上", "wifi"]),
    "full width": ("ＶＰＮ　３", ["vpn", "3"]),
    "punctuation": ("断网，重启。10.0.0.1", ["断网", "网", "重启", "启", "10", "0", "0", "1"]),
    "capitals with accents": ("ÉCOLE e\u0301", ["école", "é"]),
    "sharp s": ("Straße", ["strasse"]),
    "kana and hangul": ("カメラ 한국어", ["カメ", "メラ", "ラ", "한국", "국어", "어"]),
    "the iteration mark": ("人々", ["人々", "々"]),
    "a rare character": ("𠮷野家", ["𠮷野", "野家", "家"]),
    "invisible characters": ("打\u200b印\ufe0f机 vp\u00adn", ["打印", "印机", "机", "vpn"]),
    "emoji alone": ("😭👩🏽‍💻🇨🇳️", []),
    "nothing": ("", []),
    "NUL": ("a\0b", ["a", "b"]),
    "SQL": ("'; DROP TABLE x--", ["drop", "table", "x"]),
}  # fmt: skip


@pytest.mark.parametrize("text", CUT, ids=CUT)
def test_a_text_is_cut_into_terms(text: str) -> None:
    given, expected = CUT[text]

    assert list(terms(given)) == expected


ASKED = {
    "打印机": [("打印", "印机")],
    "网": [("网",)],
    "断网vpn": [("断网", "网", "vpn")],
    "vpn断网": [("vpn", "断网")],
    "断网 打印机": [("断网",), ("打印", "印机")],
    "断网，网": [("断网", "网", "网")],
    "网🖨络": [("网", "络")],
    '"a b" OR c*': [("a",), ("b",), ("or",), ("c",)],
    "😭 ?!": [],
}


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_looked_for_is_a_phrase_for_each_word(asked: str) -> None:
    assert list(phrases(asked)) == ASKED[asked]


def has(text: str, asked: str) -> bool:
    """What a database is asked: each phrase stands in a row, its last term may go on."""
    written = terms(text)
    return all(
        any(
            written[at : at + len(phrase) - 1] == phrase[:-1]
            and written[at + len(phrase) - 1].startswith(phrase[-1])
            for at in range(len(written) - len(phrase) + 1)
        )
        for phrase in phrases(asked)
    )


HAN = st.text(alphabet="网络打印机断连不上重启", min_size=1, max_size=8)


@given(HAN, HAN, HAN)
def test_every_piece_of_a_sentence_is_found_in_it(before: str, piece: str, behind: str) -> None:
    assert has(before + piece + behind, piece)


@given(HAN, HAN)
def test_nothing_is_found_in_a_chinese_text_that_is_no_piece_of_it(text: str, asked: str) -> None:
    assert has(text, asked) == (asked in text)


@given(st.text(max_size=40))
def test_every_text_has_its_own_words(text: str) -> None:
    assert has(text, text)


@given(st.text(max_size=200))
def test_a_term_holds_nothing_that_a_database_reads_as_syntax(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= TERM_CHARS_MAX
        # Cn: an ideograph that is younger than this Python's tables.
        assert all(unicodedata.category(char)[0] in "LNM" or ord(char) > 0xFFFF for char in term)
        assert term.isascii() <= term.isalnum()


def test_a_pasted_key_is_found_by_its_beginning() -> None:
    key = "k" * 4_000

    assert [len(term) for term in terms(key)] == [TERM_CHARS_MAX]
    assert has(key, key[:200])


def test_what_grows_when_it_is_normalised_is_bounded() -> None:
    assert len(terms("\ufdfa " * 4_000)) <= TEXT_CHARS_MAX
    assert len(phrases("字" * 100)[0]) == TERMS_ASKED_MAX

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwire.desk.messages import AttachmentKind
from deskwire.desk.uploads import (
    FILE_TYPE,
    HEAD_BYTES,
    NAME_CHARS_MAX,
    NAMELESS,
    PIXELS_MAX,
    SIDE_MAX,
    clean_name,
    look,
)
from tests.kit.uploads import IMAGES, NO_IMAGES, WEBP, gif, jpeg, png, segment, webp

NAMES = {
    "报表 2026.xlsx": "报表 2026.xlsx",
    "../../etc/passwd": "passwd",
    "..\\..\\windows\\system.ini": "system.ini",
    "C:\\Users\\ann\\网络.log": "网络.log",
    "/": NAMELESS,
    "..": NAMELESS,
    "a/..": NAMELESS,
    "": NAMELESS,
    " . ": NAMELESS,
    "\u202e\u200f": NAMELESS,
    "harmless\u202excod.exe": "harmlessxcod.exe",
    "a\0b.txt": "ab.txt",
    "a\r\nSet-Cookie: x.txt": "aSet-Cookie: x.txt",
    "a\u2028b.txt": "a b.txt",
    "tab\there": "tabhere",
    "  two   blanks .txt ": "two blanks .txt",
    ".gitignore": "gitignore",
    "name.": "name",
    "e\u0301.txt": "é.txt",
    "lone \ud83d.txt": "lone .txt",
    "\ufeff\u200bzero.png": "zero.png",
    "emoji 😀.png": "emoji 😀.png",
    "x" * 300 + ".png": "x" * 196 + ".png",
    "x" * 300: "x" * 200,
    "x" * 300 + "." + "y" * 17: "x" * 200,
    "x." + "y" * 300: "x." + "y" * 198,
    "字" * 200: "字" * 200,
}


@pytest.mark.parametrize("given", NAMES, ids=range(len(NAMES)))
def test_a_name_is_made_harmless(given: str) -> None:
    assert clean_name(given) == NAMES[given]


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_whatever_the_name_what_is_kept_is_a_name(given: str) -> None:
    name = clean_name(given)

    assert 0 < len(name) <= NAME_CHARS_MAX
    assert not set(name) & set("/\\\0\r\n\u202e\u2066")
    assert not any(unicodedata.category(char)[0] == "C" for char in name)
    assert name.strip(" .") == name
    assert clean_name(name) == name


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_known_by_its_first_bytes_with_its_measures(kind: str) -> None:
    assert look(IMAGES[kind] + b"rest") == (AttachmentKind.IMAGE, kind, (3, 2))


@pytest.mark.parametrize("kind", WEBP)
def test_every_kind_of_webp_says_how_large_it_is(kind: bytes) -> None:
    for measures in ((1, 1), (16_383, 1), (1, 16_383), (640, 480)):
        assert look(webp(kind, *measures))[2] == measures


def test_a_jpegs_measures_stand_behind_whatever_comes_first() -> None:
    before = {
        "a preview": segment(0xE1, 65_000),
        "a colour profile": segment(0xE2, 65_533) * 5,
        "padding": b"\xff\xff\xff" + segment(0xE0, 14),
        "a table that looks like a frame": segment(0xC4, 30) + segment(0xC8, 3) + segment(0xCC, 3),
        "a segment without a length": b"\xff\x01" + segment(0xE0),
    }

    found = {name: look(jpeg(800, 600, before=each)) for name, each in before.items()}

    assert found == dict.fromkeys(before, (AttachmentKind.IMAGE, "image/jpeg", (800, 600)))


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xCF])
def test_every_frame_of_a_jpeg_has_measures(frame: int) -> None:
    assert look(jpeg(7, 5, frame=frame))[2] == (7, 5)


def test_a_jpeg_whose_measures_stand_too_far_behind_is_a_file() -> None:
    head = jpeg(before=segment(0xE2, 65_533) * 9)[:HEAD_BYTES]

    assert look(head)[0] is AttachmentKind.FILE


@pytest.mark.parametrize("what", NO_IMAGES)
def test_what_is_no_image_that_can_be_shown_is_a_file(what: str) -> None:
    assert look(NO_IMAGES[what]) == (AttachmentKind.FILE, FILE_TYPE, None)


def test_the_bounds_of_an_image_are_held_at_the_edge() -> None:
    side = PIXELS_MAX // SIDE_MAX

    assert look(png(SIDE_MAX, side))[0] is AttachmentKind.IMAGE
    assert look(png(side, SIDE_MAX))[0] is AttachmentKind.IMAGE
    assert look(png(SIDE_MAX, side + 1))[0] is AttachmentKind.FILE
    assert look(png(SIDE_MAX + 1, 1))[0] is AttachmentKind.FILE


@given(st.sampled_from([png(), gif(), jpeg(), webp(b"VP8X"), webp(b"VP8L")]), st.data())
def test_an_image_cut_or_changed_anywhere_is_looked_at_without_a_fault(
    image: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(image)))
    rest = data.draw(st.binary(max_size=40))

    kind, type_, measures = look(image[:at] + rest)

    assert (kind is AttachmentKind.IMAGE) == (measures is not None) == (type_ != FILE_TYPE)

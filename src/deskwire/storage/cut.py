"""How text is cut for the search: the same for what was written and for what is looked for.

A run of letters and digits is one term. Chinese has no spaces, so a run of it becomes overlapping
pairs, and its last character stands once more alone: 打印机 is 打印, 印机, 机. What is looked for
is a phrase of such terms, of which the last may go on: so a word inside a sentence is found, and so
are one character and the beginning of a Latin word. Everything else (punctuation, emoji, NUL, the
syntax of any query language) only parts terms. Invariant: a term has letters, digits and marks,
nothing that a database would read as syntax.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain, groupby
from typing import Final

TEXT_CHARS_MAX: Final = 8_000  # twice a message, as a normal form may be longer
TERM_CHARS_MAX: Final = 64  # of longer ones the beginning: a pasted key is no word
TERMS_ASKED_MAX: Final = 64

# Zero-width and soft marks, variation selectors: nobody sees them, so they part no word.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Han, kana, bopomofo and hangul: scripts that are written without spaces, or nearly so.
_PAIRED = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30fa\u30fc-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)

Phrase = tuple[str, ...]


def terms(text: str) -> tuple[str, ...]:
    """The terms of a text, in their order."""
    return _terms(_folded(text))


def phrases(asked: str) -> tuple[Phrase, ...]:
    """What is looked for: each word as a phrase, all of which must be found.

    A text has a phrase where its terms stand in a row, the last one perhaps going on.
    """
    found = (_phrase(word) for word in _folded(asked).split())
    return tuple(phrase for phrase in found if phrase)


def _phrase(word: str) -> Phrase:
    found = _terms(word)
    # What follows 打印 is open: its lone last character would ask for the end of a run.
    if len(found) > 1 and _is_paired(found[-1]) and found[-2][1:] == found[-1]:
        found = found[:-1]
    return found[:TERMS_ASKED_MAX]


def _folded(text: str) -> str:
    seen = _INVISIBLE.sub("", text[:TEXT_CHARS_MAX])
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return folded[:TEXT_CHARS_MAX]


def _terms(folded: str) -> tuple[str, ...]:
    return tuple(chain.from_iterable(_terms_of_run(run) for run in _runs(folded)))


def _runs(folded: str) -> Iterator[str]:
    for kind, chars in groupby(folded, _kind):
        run = "".join(chars)
        if kind and any(map(str.isalnum, run)):
            yield run


def _kind(char: str) -> str:
    if _is_paired(char):
        return "paired"
    is_letter = char.isalnum() or unicodedata.category(char).startswith("M")
    return "letters" if is_letter else ""


def _terms_of_run(run: str) -> Iterator[str]:
    if _is_paired(run):
        yield from (run[i : i + 2] for i in range(len(run)))
    else:
        yield run[:TERM_CHARS_MAX]


def _is_paired(text: str) -> bool:
    return _PAIRED.match(text) is not None

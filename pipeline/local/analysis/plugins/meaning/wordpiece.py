"""Text as the tokens of an uncased BERT: words, then their longest known pieces."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

_LONGEST = 100  # characters of a word that is looked up
_CJK = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))


class WordPieces:
    """Turns texts into numbers of a vocabulary, with its marks for beginning and end.

    Args:
        vocabulary: one token a line; a piece inside a word begins with ``##``.
        most: tokens of a text, marks included.
    """

    def __init__(self, vocabulary: Sequence[str], most: int) -> None:
        self._number: Mapping[str, int] = {token: number for number, token in enumerate(vocabulary)}
        self._begin, self._end, self._unknown = (self._number[mark] for mark in ("[CLS]", "[SEP]", "[UNK]"))
        self._most = most

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens, cut to the most there may be."""
        found = [number for word in _words(text) for number in self._pieces(word)]
        return [self._begin, *found[: self._most - 2], self._end]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST:
            return [self._unknown]
        found: list[int] = []
        first = 0
        while first < len(word):
            mark = "##" if first else ""
            last = next((n for n in range(len(word), first, -1) if mark + word[first:n] in self._number), first)
            if last == first:
                return [self._unknown]
            found.append(self._number[mark + word[first:last]])
            first = last
        return found


def _words(text: str) -> Iterator[str]:
    """Yield words in lower case without accents; each punctuation mark and ideograph is one."""
    word = ""
    for char in unicodedata.normalize("NFD", text.lower()):
        kind = unicodedata.category(char)
        if kind == "Mn" or (kind.startswith("C") and char not in "\t\n\r"):
            continue
        if char.isspace() or _stands_alone(char, kind):
            if word:
                yield word
            word = ""
            if not char.isspace():
                yield char
        else:
            word += char
    if word:
        yield word


def _stands_alone(char: str, kind: str) -> bool:
    code = ord(char)
    mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126 or kind.startswith("P")
    return mark or any(first <= code <= last for first, last in _CJK)

"""Which folder each video has, for libraries of any size."""

from __future__ import annotations

from array import array

_SMALLEST = 1024  #: places; always a power of two


class Homes:
    """Folder names by the characters that they end with.

    One takes its own bytes and some eight more: a dictionary of them takes 200.
    """

    def __init__(self) -> None:
        self._names = bytearray(b"\n")  # each ends with a line end
        self._places = array("L", bytes(array("L").itemsize * _SMALLEST))  # 0: free; else where a name begins
        self._number = 0

    def get(self, tail: str) -> str:
        """Return the name that ends so; empty: there is none."""
        begins = self._places[self._place(tail.encode())]
        return self._name(begins).decode() if begins else ""

    def put(self, tail: str, name: str) -> None:
        """Keep a name that ends so, instead of another."""
        place = self._place(tail.encode())
        self._number += self._places[place] == 0
        self._places[place] = len(self._names)
        self._names += name.encode() + b"\n"
        if 3 * self._number > 2 * len(self._places):
            self._grow()

    def _name(self, begins: int) -> bytes:
        return bytes(self._names[begins : self._names.index(b"\n", begins)])

    def _place(self, tail: bytes) -> int:
        """Return where a name is, or the free place where it would be."""
        places, last = self._places, len(self._places) - 1
        place = hash(tail) & last
        while places[place] and _tail(self._name(places[place])) != tail:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        before = self._places
        self._places = array("L", bytes(2 * before.itemsize * len(before)))
        for begins in before:
            if begins:
                self._places[self._place(_tail(self._name(begins)))] = begins


def _tail(name: bytes) -> bytes:
    return name.rpartition(b"--")[2]

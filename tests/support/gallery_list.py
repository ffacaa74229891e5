"""What the library's list shows, read from the page once it has come to rest."""

from __future__ import annotations

from tests.support.browser import Tab

#: The titles of the cards, as they stand there.
TITLES = "[...document.querySelectorAll('.card h2')].map((title) => title.textContent)"
#: True once every file has been read, by the query too, if there is one; captions come last.
_AT_REST = r"""
  performance.getEntriesByName("reelmill-searchable").length > 0
    && (!document.querySelector("[type=search]").value.trim() || document.querySelector(".count").textContent.match(
      /^[\d,]+ found · ([\d,]+) of \1 searched( · captions of ([\d,]+) of \3)?$/))
"""


def titles(tab: Tab) -> list[str]:
    """Return the titles that the list shows in the end, in their order."""
    tab.wait(_AT_REST)
    return list(tab.value(TITLES))

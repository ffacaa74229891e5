"""The page without comments and spaces means what its sources say; the browsers' own parsers are the judges."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.gallery.lean import lean_script, lean_style
from pipeline.gallery.page_files import SCRIPTS, page_script
from tests.architecture.tree import ROOT
from tests.support.browser import Browser, Tab

PAGE = ROOT / "pipeline" / "gallery" / "page"
#: Returns the syntax tree of each statement, as Firefox's own parser reads it; ``const`` and ``let`` are one.
PARSE = """
  const { Reflect } = ChromeUtils.importESModule("resource://gre/modules/reflect.sys.mjs");
  const isPattern = (value) => Object.prototype.toString.call(value) === "[object RegExp]";
  const plain = (name, value) => (name === "kind" && value === "const" ? "let" : isPattern(value) ? `${value}` : value);
  return Reflect.parse(args[0], { loc: false }).body.map((each) => JSON.stringify(each, plain));
"""
#: Returns the rules of a style; the values of variables are kept as they are written, with their spaces.
RULES = """
  const read = new CSSStyleSheet();
  read.replaceSync(args[0]);
  return [...read.cssRules].map((each) => each.cssText.replaceAll(", ", ","));
"""


def parsed(browser: Browser, code: str) -> list[Any]:
    """Return the statements of a script as a JavaScript engine understands them."""
    return list(browser.chrome(PARSE, code))


@pytest.mark.parametrize("browser", ["firefox"], indirect=True)
def test_the_script_is_its_sources(browser: Browser) -> None:
    """Statement by statement the same syntax tree: no string, pattern or template is another, and none has moved."""
    strict, *lean = parsed(browser, page_script())
    sources = [parsed(browser, (PAGE / f"{name}.js").read_text("utf-8")) for name in SCRIPTS]
    assert [source[0] for source in sources] == [strict] * len(SCRIPTS)
    assert lean == [statement for source in sources for statement in source[1:]]
    assert len(lean) > 100


@pytest.mark.parametrize("browser", ["firefox"], indirect=True)
def test_a_text_that_was_changed_would_be_seen(browser: Browser) -> None:
    """What the page's sources may not say is told by their tree: here a string comes out as another."""
    code = 'const a = "(b) => const";'
    assert parsed(browser, lean_script(code)) != parsed(browser, code)


def test_the_style_is_its_source(tab: Tab) -> None:
    """Rule by rule the same selectors and values."""
    source = (PAGE / "app.css").read_text("utf-8")
    lean = tab.run(RULES, lean_style(source))
    assert lean == tab.run(RULES, source)
    assert len(lean) > 100

"""Prices per model: dated, with defaults, and a word about every model that has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.app.runs.config_check import check_config
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.budget.prices import PriceList
from pipeline.config.settings import PricesSection, Settings, load
from pipeline.core.errors import ConfigError
from tests.unit.test_config import write

MODELS = """
[prices]
as_of = 2026-11-01
analyze_minute = 0.03
[prices."pegasus1.6"]
as_of = 2026-11-20
analyze_minute = 0.05
[prices.marengo3.0]
index_minute = 0.08
search_1000_queries = 8
"""


def test_a_model_has_its_own_prices_and_the_default_ones_else(tmp_path: Path) -> None:
    """A table that sets one price keeps the others; a name with a dot needs no quotes."""
    rates = load(write(tmp_path, MODELS), env={}).prices
    prices = PriceList(rates, index_model="marengo3.0")
    assert prices.analysis(60.0, 1000, "pegasus1.6") == pytest.approx(0.05 + 0.0075)
    assert prices.analysis(60.0, 1000, "pegasus1.5") == pytest.approx(0.03 + 0.0075)
    assert (prices.indexing(1.0), prices.query()) == (pytest.approx(0.08), pytest.approx(0.008))
    assert str(rates.models["pegasus1.6"].as_of) == "2026-11-20"
    assert str(rates.as_of) == "2026-11-01"


def test_an_old_table_of_prices_means_what_it_meant(tmp_path: Path) -> None:
    """Without a table of any model, every model has the prices of ``[prices]``."""
    rates = load(write(tmp_path, "[prices]\nanalyze_minute = 1.0\nindex_minute = 2.0\n"), env={}).prices
    prices = PriceList(rates, index_model="marengo3.0")
    assert prices.analysis(60.0, 0, "pegasus1.6") == 1.0
    assert prices.indexing(1.0) == 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[prices."pegasus1.6"]\nanalyze_minute = -1\n', "line 2: [prices.pegasus1.6] analyze_minute: should be at least 0"),
        ("[prices.pegasus1.6]\nanalyze_hour = 1\n", "line 2: [prices.pegasus1.6] analyze_hour: unknown key"),
        ('[prices]\nas_of = "soon"\n', "line 2: [prices] as_of: should be a day, like 2026-06-20"),
    ],
)  # fmt: skip
def test_a_wrong_price_is_told_by_its_model_and_line(tmp_path: Path, text: str, words: str) -> None:
    """The message names the table as the file does, however the name is written."""
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, text), env={})
    assert words in str(refused.value)


def settings(**sections: object) -> Settings:
    """Return settings for the vendor's platform."""
    made = Settings.model_validate({"provider": {"model": "pegasus1.6"}, **sections})
    return made.model_copy(update={"api_key": SecretStr("a key")})


def test_a_model_without_a_price_is_told_and_reckoned_with_the_default() -> None:
    """One sentence for each model in use, with the table to write and the day of what counts until then."""
    (note,) = check_config(settings())
    assert note == (
        'no price known for pegasus1.6: set [prices."pegasus1.6"]; until then the default prices of 2026-06-20 count'
    )
    index = {"name": "films", "models": {"marengo9": ["visual"]}}
    notes = check_config(settings(index=index))
    assert ["marengo9" in each for each in notes] == [False, True]
    plan = make_run_plan(settings(index=index))
    assert plan.prices.indexing(1.0) == PricesSection().index_minute


def test_a_known_price_needs_no_word() -> None:
    """Neither a model with a table, nor the two that the defaults are made for, nor a platform that costs nothing."""
    assert check_config(settings(prices={"models": {"pegasus1.6": {"analyze_minute": 0.05}}})) == []
    assert check_config(settings(provider={"model": "pegasus1.5"}, index={"name": "films"})) == []
    assert check_config(Settings.model_validate({"provider": {"model": "pegasus1.6", "kind": "local"}})) == []

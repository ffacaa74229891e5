"""What ``reconcile`` takes from the configuration: the index that it looks into, and what a repair would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.app.account.reconcile import _index, _price, _with_index, reconcile
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import iso
from pipeline.core.errors import ConfigError, NeedsOperator
from pipeline.ports.index_api import IndexInfo, IndexSpec
from tests.support.fake_index_api import FakeIndexApi
from tests.support.run_harness import settings_for
from tests.unit.test_reconcile_present import EMPTY, NOW

DAY = 86_400.0


def expiring(days: float | None) -> IndexInfo:
    """Return an index that ends in so many days, or never."""
    return IndexInfo("i1", "films", (), (), 3, 60.0, expires="" if days is None else iso(NOW + days * DAY))


@pytest.mark.parametrize(("days", "told"), [(None, False), (90, False), (15, False), (13, True), (-1, True)])
def test_an_index_near_its_end_is_told_of(days: float | None, told: bool) -> None:
    """On the vendor's free plan an index lives ninety days; two weeks before, the plan says so."""
    plan = _with_index(EMPTY, expiring(days))
    assert [(each.what, each.id, each.item) for each in plan.expiring] == ([("index", "i1", "films")] if told else [])
    assert _with_index(EMPTY, None) is EMPTY


@pytest.mark.asyncio
async def test_the_configured_index_is_looked_for_and_not_made(tmp_path: Path) -> None:
    """None configured, none there, or there; any other trouble is the command's."""
    index_api = FakeIndexApi()
    named = settings_for(tmp_path, index={"name": "films"})
    assert await _index(settings_for(tmp_path), index_api) is None
    assert await _index(named, index_api) is None
    assert index_api.there == {}
    key = await index_api.create_index(IndexSpec("films"))
    found = await _index(named, index_api)
    assert found is not None
    assert found.id == key

    class Locked(FakeIndexApi):
        async def index(self, id_or_name: str) -> IndexInfo:
            raise NeedsOperator("the platform refuses the API key")

    with pytest.raises(NeedsOperator):
        await _index(named, Locked())


@pytest.mark.parametrize(
    ("sections", "usd"),
    [
        ({"provider": {"kind": "local"}}, 0.0),
        ({"provider": {"kind": "local", "api": "v1.2"}}, 0.0),
        ({"provider": {"kind": "twelvelabs"}}, 0.0),
        ({"provider": {"kind": "twelvelabs"}, "index": {"name": "films"}}, 0.084),
        ({"provider": {"kind": "twelvelabs", "api": "v1.2"}}, 0.084),
    ],
)
def test_uploading_again_costs_what_indexing_again_costs(sections: dict[str, Any], usd: float) -> None:
    """An upload alone is free; where it means a new entry in an index, two minutes cost two minutes of indexing."""
    settings = Settings.model_validate({**sections, "api_key": "k"})
    assert _price(make_run_plan(settings))(120.0) == pytest.approx(usd)


def test_nothing_is_made_where_nothing_was_run(tmp_path: Path) -> None:
    """Without a database the command refuses, and leaves no folder behind."""
    with pytest.raises(ConfigError, match="nothing has been run here yet"):
        anyio.run(reconcile, settings_for(tmp_path))
    assert list(tmp_path.iterdir()) == []

"""``search`` and ``classify``: one question to the platform, beside any run.

What is typed by hand is neither in the ledger nor under the budget: both belong to runs.
"""

from __future__ import annotations

from pipeline.app.index.questions import check_query, no_classify, open_index_access
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings
from pipeline.views import ClassifyView, SearchView


async def search(settings: Settings, ask: StandingQuery) -> SearchView:
    """Search an index. Paid.

    Raises:
        ConfigError: what the dialect cannot be asked.
        Permanent: what the platform refuses.
    """
    check_query(settings, ask)
    async with open_index_access(settings) as access:
        return await access.questions.search(ask)


async def classify(settings: Settings, ask: StandingQuery) -> ClassifyView:
    """Sort videos of an index into classes. Paid; v1.2 only.

    Raises:
        ConfigError: the dialect has no such call: the message shows the job that does it.
    """
    if settings.provider.api == "v1.3":
        raise no_classify(ask.classes)
    check_query(settings, ask)
    async with open_index_access(settings) as access:
        return await access.questions.classify(ask)

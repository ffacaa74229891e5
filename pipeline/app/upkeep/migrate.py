"""``migrate``: brings a database that hosts share to this release's schema."""

from __future__ import annotations

from pipeline.app.wiring.database import need_driver, shared_database, told_as_configuration
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.views import Migrated


async def migrate(settings: Settings, *, make_roles: bool = False) -> Migrated:
    """Make the tables, or bring them up to date; all or nothing.

    ``make_roles``: make the roles of workers and readers, too.

    Raises:
        Busy: somebody is at work whose release could not go on.
        ConfigError: the database is a file, which every run brings up to date by itself; or it cannot be reached or changed, or
            is of a newer release.
    """
    address = shared_database(settings)
    if address is None:
        raise ConfigError(
            "migrate: [store] url names no database that hosts share; the file in the state folder needs no command",
            remedy="set [store] url, or leave this out: every run brings the file up to date",
        )
    need_driver(settings.store.engine)
    from pipeline.store.postgres.migrate import migrate as bring_up_to_date

    with told_as_configuration():
        done = await bring_up_to_date(address, make_roles=make_roles, engine=settings.store.engine)
    return Migrated(str(address), done.before, done.version, done.roles)

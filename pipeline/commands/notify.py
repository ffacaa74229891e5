"""``notify test``: is everybody told who should be?"""

from __future__ import annotations

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command("state", "output")
def notify_test(given: Invocation) -> int:
    """Send a test in every way that [watch] of the configuration names.

    It says what became of each. A ping goes to /log, which changes nothing there; the command of `on_end` really runs. Exit
    code 3 if one of them failed.
    """
    from pipeline.present.tables.notify import notify_table

    told = given.call(app.notify_test)
    given.show(told, lambda: notify_table(told))
    return ExitCode.DONE if all(each.sent for each in told) else ExitCode.INCOMPLETE

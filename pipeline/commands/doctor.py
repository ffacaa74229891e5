"""``doctor``: what a run stands on."""

from __future__ import annotations

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command("state", "output", "provider")
def doctor(given: Invocation) -> int:
    """Check this machine, the folders, the configuration and the platform.

    Exit code 2 if something is bad.
    """
    from pipeline.present.tables.doctor import doctor_table

    findings = given.call(app.doctor)
    given.show(findings, lambda: doctor_table(findings))
    return ExitCode.USAGE if any(finding.state == "bad" for finding in findings) else ExitCode.DONE

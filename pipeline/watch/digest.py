"""A message by apprise, from a process with a time limit."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from pipeline.core.log import Redactor
from pipeline.core.text import plain
from pipeline.watch.child import run_child

#: Run by its path and with -P: neither the folder one stands in nor this one may lend it modules.
_SCRIPT = Path(__file__).with_name("digest_process.py")
_MOST = 200  #: characters of a library's words


async def notify(addresses: Sequence[str], title: str, body: str, timeout: float) -> list[str]:
    """Send a message to each address; return why each did not take it.

    Empty if it did. All at once, in ``timeout`` seconds. The addresses reach the process by its standard input, and no
    part of one is in what is returned.
    """
    given = json.dumps({"addresses": list(addresses), "title": title, "body": body}).encode()
    ended = await run_child([sys.executable, "-P", str(_SCRIPT)], given, timeout)
    answers = _answers(ended.said)
    missing = ended.why or "it said nothing"
    return [_cleaned(answers.get(number, missing), address) for number, address in enumerate(addresses)]


def _answers(said: str) -> dict[int, str]:
    """Return number of the address -> why, of what was answered before the end."""
    found = {}
    for line in said.splitlines():
        if line.startswith('{"number": '):
            answer = json.loads(line)
            found[int(answer["number"])] = str(answer["why"])
    return found


def _cleaned(why: str, address: str) -> str:
    parts = [part for part in re.split(r"[/?&=#@:,]+", address)[1:] if len(part) >= 4]
    return plain(str(Redactor([*parts, *map(unquote, parts)]).clean(why)), _MOST)

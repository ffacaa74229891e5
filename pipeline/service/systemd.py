"""A hardened systemd service and its timer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pipeline.service.values import Deployment, ServiceFile

_SYSTEM, _USER = "/etc/systemd/system", "~/.config/systemd/user"
_CREDENTIAL = "twelvelabs"
#: What a run never needs. Each works in the user's manager, too.
_LEAN = (
    "NoNewPrivileges=yes", "LockPersonality=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM",
)  # fmt: skip
#: What needs the rights of the system's manager.
_WALLED = (
    "ProtectSystem=strict", "ProtectHome=read-only", "PrivateTmp=yes", "PrivateDevices=yes", "ProtectClock=yes",
    "ProtectHostname=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes", "ProtectProc=invisible", "CapabilityBoundingSet=", "AmbientCapabilities=", "RemoveIPC=yes",
)  # fmt: skip


def systemd_files(it: Deployment, *, user: bool) -> list[ServiceFile]:
    """Return service and timer, for the system or one user's manager."""
    place = _USER if user else _SYSTEM
    service = [*_head(it, place, user=user), *_unit(it, user=user), "", *_service(it, user=user)]
    timer = [
        f"# Starts {it.name}.service. `systemctl{' --user' if user else ''} list-timers` says when it does so next.",
        "[Unit]",
        f"Description=Reelmill: starts {_rest(it.config.name)} once a day",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {it.hour:02}:{it.minute:02}:00",
        "# A machine that was off at that time does it once it is on.",
        "Persistent=yes",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return [
        ServiceFile(f"{it.name}.service", place, _text(service)),
        ServiceFile(f"{it.name}.timer", place, _text(timer)),
    ]


def _head(it: Deployment, place: str, *, user: bool) -> Iterator[str]:
    manager = "systemctl --user" if user else "systemctl"
    flag = " --user" if user else ""
    make = shlex.join([*it.program, "service", "systemd", "--config", str(it.config)])
    yield f"# Made from {it.config} by:"
    yield f"#   {make}{flag} --into {place}"
    yield "# Make it again when the configuration names other folders. Then:"
    for folder in it.missing:
        owner = "" if user else f" -o {shlex.quote(it.user)}"
        yield f"#   install -d -m 0700{owner} {shlex.quote(str(folder))}"
    if it.key_file is not None and not it.key_there:
        yield f"#   (write the API key, and nothing else, into {it.key_file}, readable by its owner alone)"
    yield f"#   {manager} daemon-reload"
    yield f"#   {manager} enable --now {it.name}.timer"
    yield f"#   {manager} start --no-block {it.name}.service     # a run now"
    yield f"#   journalctl{flag} -u {it.name}.service     # a line for each item"
    if user:
        yield "#   loginctl enable-linger     # or it runs only while you are logged in"


def _unit(it: Deployment, *, user: bool) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Reelmill: {_rest(it.config.name)}"
    if not user:
        yield "Wants=network-online.target"
        yield "After=network-online.target"
        yield f"RequiresMountsFor={_words(map(str, (*it.writes, *it.reads)))}"


def _service(it: Deployment, *, user: bool) -> Iterator[str]:
    yield "[Service]"
    yield "Type=oneshot"
    if not user:
        yield f"User={it.user}"
    yield f"WorkingDirectory={_rest(str(it.config.parent))}"
    yield f"ExecStart={_command(it.run)}"
    yield f"Environment={_word(f'PATH={it.search}')}"
    yield from _key(it, user=user)
    yield "# 3: some items failed, which the report tells. 6: a quota, an outage or the time limit. 75: another run is at work."
    yield "# 130: stopped. In all of these the service did its work, and the next start goes on."
    yield "SuccessExitStatus=3 6 75 130"
    yield "# The first signal goes to the run alone; it ends its helpers itself. [run] stop_grace is part of this time."
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={it.stop_seconds}"
    yield "Nice=10"
    yield "IOSchedulingClass=best-effort"
    yield "IOSchedulingPriority=7"
    yield ""
    yield from _LEAN
    if user:
        yield "# Walls around files and devices need the system's manager: leave --user away for them."
        return
    yield from _WALLED
    yield "# MemoryDenyWriteExecute= is not set: yt-dlp's JavaScript runtime compiles as it goes."
    yield "# What a run writes: state, results, the pace towards YouTube, and what [watch] names."
    yield f"ReadWritePaths={_words(map(str, it.writes))}"
    yield f"CacheDirectory={it.name}"
    yield f"Environment=XDG_CACHE_HOME=%C/{it.name}"


def _key(it: Deployment, *, user: bool) -> Iterator[str]:
    if it.key_file is None:
        yield "# Without an API key: runs use the local platform."
    elif user:
        yield f"Environment={_word(f'TWELVELABS_API_KEY_FILE={it.key_file}')}"
    else:
        yield "# The manager reads the key, so that its file may belong to root alone."
        yield f"LoadCredential={_CREDENTIAL}:{_rest(str(it.key_file))}"
        yield f"Environment=TWELVELABS_API_KEY_FILE=%d/{_CREDENTIAL}"


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _rest(text: str) -> str:
    """Return a value that fills its line: only specifiers are read in it."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return one word of several."""
    return f'"{_rest(text)}"'


def _words(texts: Iterator[str]) -> str:
    return " ".join(map(_word, texts))


def _command(words: Sequence[str]) -> str:
    """Return a command line: behind the program, variables are read, too.

    A program with an apostrophe in its path is refused; ``env`` starts it all the same.
    """
    words = ["/usr/bin/env", *words] if "'" in words[0] else words
    return " ".join([_word(words[0]), *(_word(word.replace("$", "$$")) for word in words[1:])])

"""A hardened systemd service and its timer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pipeline.service.values import PASSWORD, Deployment, ServiceFile

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
    return _nightly(it, it.name, it.run, "systemd", user=user)


def worker_files(it: Deployment, *, user: bool) -> list[ServiceFile]:
    """Return the service of a worker on a shared database.

    Where the configuration names what is ingested, with a nightly one that feeds the queue.
    """
    place, name = _USER if user else _SYSTEM, f"{it.name}-worker"
    head = _head(it, place, "worker", f"{name}.service", user=user)
    service = [*head, *_unit(it, user=user), "", *_worker(it, user=user)]
    fed = _nightly(it, f"{it.name}-submit", it.submit, "worker", user=user) if it.feeds else []
    return [ServiceFile(f"{name}.service", place, _text(service)), *fed]


def _nightly(it: Deployment, name: str, command: Sequence[str], kind: str, *, user: bool) -> list[ServiceFile]:
    """Return the service of a command that ends, and the timer that starts it."""
    place = _USER if user else _SYSTEM
    head = _head(it, place, kind, f"{name}.timer", user=user, start=f"{name}.service")
    service = [*head, *_unit(it, user=user), "", *_service(it, command, user=user)]
    timer = [
        f"# Starts {name}.service. `systemctl{' --user' if user else ''} list-timers` says when it does so next.",
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
        ServiceFile(f"{name}.service", place, _text(service)),
        ServiceFile(f"{name}.timer", place, _text(timer)),
    ]


def _head(it: Deployment, place: str, kind: str, enabled: str, *, user: bool, start: str = "") -> Iterator[str]:
    manager = "systemctl --user" if user else "systemctl"
    flag = " --user" if user else ""
    make = shlex.join([*it.program, "service", kind, "--config", str(it.config)])
    yield f"# Made from {it.config} by:"
    yield f"#   {make}{flag} --into {place}"
    yield "# Make it again when the configuration names other folders. Then:"
    for folder in it.missing:
        owner = "" if user else f" -o {shlex.quote(it.user)}"
        yield f"#   install -d -m 0700{owner} {shlex.quote(str(folder))}"
    if it.key_file is not None and not it.key_there:
        yield f"#   (write the API key, and nothing else, into {it.key_file}, readable by its owner alone)"
    if it.password_file is not None and not it.password_file.is_file():
        yield f"#   (the same for the database's password: {it.password_file})"
    yield f"#   {manager} daemon-reload"
    yield f"#   {manager} enable --now {enabled}"
    if start:
        yield f"#   {manager} start --no-block {start}     # a run now"
    yield f"#   journalctl{flag} -u {start or enabled}     # a line for each item"
    if user:
        yield "#   loginctl enable-linger     # or it runs only while you are logged in"


def _unit(it: Deployment, *, user: bool) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Reelmill: {_rest(it.config.name)}"
    if not user:
        yield "Wants=network-online.target"
        yield "After=network-online.target"
        yield f"RequiresMountsFor={_words(map(str, (*it.writes, *it.reads)))}"


def _worker(it: Deployment, *, user: bool) -> Iterator[str]:
    yield "[Service]"
    yield "Type=exec"
    yield from _process(it, it.work, user=user)
    yield "# What it was at work on is let go, or taken up again at once under the same name. 2: the configuration must be"
    yield "# corrected. 4: key, credit or plan need somebody. 75: another process works on this state folder."
    yield "Restart=on-failure"
    yield "RestartSec=10"
    yield "RestartPreventExitStatus=2 4 75"
    yield from _rights(it, user=user)
    yield ""
    yield "[Install]"
    yield f"WantedBy={'default.target' if user else 'multi-user.target'}"


def _service(it: Deployment, command: Sequence[str], *, user: bool) -> Iterator[str]:
    yield "[Service]"
    yield "Type=oneshot"
    yield from _process(it, command, user=user)
    yield "# 3: some items failed, which the report tells. 6: a quota, an outage or the time limit. 75: another run is at work."
    yield "# 130: stopped. In all of these the service did its work, and the next start goes on."
    yield "SuccessExitStatus=3 6 75 130"
    yield from _rights(it, user=user)


def _process(it: Deployment, command: Sequence[str], *, user: bool) -> Iterator[str]:
    if not user:
        yield f"User={it.user}"
    yield f"WorkingDirectory={_rest(str(it.config.parent))}"
    yield f"ExecStart={_command(command)}"
    yield f"Environment={_word(f'PATH={it.search}')}"
    yield from _key(it, user=user)
    if it.password_file is not None and user:
        yield f"Environment={_word(f'REELMILL_STORE_PASSWORD_FILE={it.password_file}')}"
    elif it.password_file is not None:
        yield f"LoadCredential={PASSWORD}:{_rest(str(it.password_file))}"
        yield f"Environment=REELMILL_STORE_PASSWORD_FILE=%d/{PASSWORD}"


def _rights(it: Deployment, *, user: bool) -> Iterator[str]:
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

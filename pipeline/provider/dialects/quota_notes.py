"""What an answer says about rate limits, in every known form. Pure.

Headers: ``X-RateLimit-Limit``, ``-Remaining``, ``-Reset``, alone or with what they count and how long (``-Requests``,
``-Tokens-Day``); ``RateLimit-Limit``, ``-Remaining``, ``-Reset`` and ``RateLimit``, ``RateLimit-Policy`` of the drafts of
the IETF. Bodies of a 429: ``currentLimit`` and sentences that name a limit ("600 minutes per day") or a quota ("daily").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.clock import parse_iso
from pipeline.ports.quota import QuotaKind, QuotaNote, QuotaSpan
from pipeline.provider.dialects.json_reading import ErrorBody, parse_http_date, read_error_body, server_time
from pipeline.provider.dialects.protocol import Response
from pipeline.provider.dialects.retry_after import requested_wait

_DAY = 86_400.0
_LARGEST = 1e15  #: what is larger counts nothing, and tells no time
_KINDS: Mapping[str, QuotaKind] = {
    "request": "requests", "requests": "requests", "call": "requests", "calls": "requests", "req": "requests",
    "rpm": "requests", "rpd": "requests", "minutes": "minutes", "duration": "minutes", "dpd": "minutes", "dph": "minutes",
    "video-minutes": "minutes", "token": "tokens", "tokens": "tokens", "tpm": "tokens", "tpd": "tokens",
}  # fmt: skip
_SPANS: Mapping[str, QuotaSpan] = {
    "minute": "minute", "min": "minute", "rpm": "minute", "tpm": "minute", "hour": "hour", "hourly": "hour", "dph": "hour",
    "day": "day", "daily": "day", "rpd": "day", "tpd": "day", "dpd": "day",
}  # fmt: skip
_WINDOWS: Mapping[int, QuotaSpan] = {60: "minute", 3600: "hour", 86_400: "day"}
_HEADER = re.compile(r"(?:x-)?ratelimit-(limit|remaining|reset)(?:-(.+))?")
_ITEM = re.compile(r'(?:"[^"]*"|[^,"])+')
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_RATE = re.compile(
    r"(?<![\d,_])(\d[\d,_]{0,20}(?:\.\d{1,9})?)\s*(k|thousand)?\s*(?:of\s+)?(?:video[\s-]+|api[\s-]+|output[\s-]+|input[\s-]+)?"
    r"(requests?|calls?|minutes|min|tokens?)?\s*(?:of\s+\w+\s*)?(?:per|a|an|each|every|/)\s*(?:24[\s-]?)?(minute|min|hour|day)",
    re.I,
)
_NAMED = re.compile(r"\b(daily|hourly|(?:per|a|/)\s*(?:day|hour)|24[\s-]?h(?:ours?)?|[rtd]pd|dph)\b", re.I)
_DURATION = re.compile(r"\b(minutes of|video minutes|durations?|dpd|dph)\b", re.I)
_TOKENS = re.compile(r"\b(tokens?|tpm|tpd)\b", re.I)


def quota_notes(response: Response, body: ErrorBody | None = None) -> Sequence[QuotaNote]:
    """Return what this answer says about limits; nothing as a rule."""
    notes = list(_of_headers(response))
    if response.status == 429:
        body = read_error_body(response) if body is None else body
        wait = requested_wait(response, body)
        resets = None if wait is None else response.at + wait
        notes += (replace(note, resets=resets) for note in _of_body(body))
    return notes


def speaks_of_quota(headers: Mapping[str, str]) -> bool:
    """Return True if a header may say something; cheap, for every answer."""
    return "ratelimit" in "\n".join(headers)


# ---------------------------------------------------------------------------------------------------------- headers


def _of_headers(response: Response) -> Iterator[QuotaNote]:
    found: dict[str, QuotaNote] = {}
    for name, value in response.headers.items():
        header = _HEADER.fullmatch(name)
        if header is not None:
            suffix = header[2] or ""
            found[suffix] = _with(found.get(suffix) or _blank(suffix), header[1], value, response)
        elif name in ("ratelimit", "ratelimit-policy"):
            for key, note in _of_fields(value, response):
                known = found.get(key, QuotaNote())
                found[key] = replace(known, **{each: getattr(note, each) for each in _said(note)})
    policies = [note for key, note in found.items() if note.left is None and note.limit is not None]
    states = [note for note in found.values() if note.left is not None]
    if len(states) == 1 and not states[0].span and len(policies) == 1 and policies[0].span:
        yield replace(states[0], span=policies[0].span, limit=states[0].limit or policies[0].limit)
        return
    yield from (_spanned(note, response.at) for note in found.values() if _said(note))


def _said(note: QuotaNote) -> list[str]:
    blank = QuotaNote()
    return [name for name in ("kind", "span", "limit", "left", "resets") if getattr(note, name) != getattr(blank, name)]


def _blank(suffix: str) -> QuotaNote:
    words = suffix.split("-")
    kinds, spans = (
        [_KINDS[word] for word in words if word in _KINDS],
        [_SPANS[word] for word in words if word in _SPANS],
    )
    return QuotaNote(kinds[0] if kinds else "requests", spans[0] if spans else "")


def _with(note: QuotaNote, what: str, value: str, response: Response) -> QuotaNote:
    """Add one header's value; what cannot be read says nothing."""
    if what == "reset":
        return replace(note, resets=_moment(value, response))
    first, *policies = value.split(",")
    number, _, parameters = first.partition(";")
    amount = _number(number)
    if what == "remaining":
        return replace(note, left=amount)
    windows = [found for each in (parameters, *policies) if (found := re.search(r"\bw=(\d+)", each))]
    span = _WINDOWS.get(int(_number(windows[0][1]) or 0), "") if len(windows) == 1 else ""
    return replace(note, limit=amount or None, span=note.span or span)


def _of_fields(value: str, response: Response) -> Iterator[tuple[str, QuotaNote]]:
    """Yield (policy, what is said) of a structured header, older and newer."""
    if "limit=" in value:  # one policy: limit=100, remaining=50, reset=30
        fields = dict(part.strip().split("=", 1) for part in value.split(",") if "=" in part)
        left, limit, reset = (_number(fields.get(name, "")) for name in ("remaining", "limit", "reset"))
        yield "", QuotaNote(limit=limit or None, left=left, resets=None if reset is None else response.at + reset)
        return
    for item in _ITEM.findall(value):
        name, *parameters = (part.strip() for part in item.split(";"))
        fields = {key.strip(): each.strip().strip('"') for key, _, each in (part.partition("=") for part in parameters)}
        unit = fields.get("qu", "").lower()
        span = _WINDOWS.get(int(_number(fields.get("w", "")) or 0), "")
        limit = _number(fields.get("q", "")) if "q" in fields else _number(name)
        left, reset = _number(fields.get("r", "")), _number(fields.get("t", ""))
        resets = None if reset is None else response.at + reset
        yield (
            name.strip('"') if not _number(name) else "",
            QuotaNote(_KINDS.get(unit, "requests"), span, limit or None, left, resets),
        )


def _spanned(note: QuotaNote, now: float) -> QuotaNote:
    """Return the note with the shortest window that its reset fits into."""
    if note.span or note.resets is None:
        return note
    wait = note.resets - now
    return replace(note, span="day" if wait > 3_660 else "hour" if wait > 66 else "")


def _moment(value: str, response: Response) -> float | None:
    """Return epoch seconds, by our clock, of a reset: a moment or a span."""
    ahead = server_time(response) - response.at
    number = _number(value)
    if number is not None:
        if number >= 1e11:
            number /= 1000  # milliseconds
        return number - ahead if number >= 1e9 else response.at + number
    if _SPAN.fullmatch(value.strip()):
        seconds = _believed(sum(float(amount) * _UNIT[unit] for amount, unit in _PART.findall(value)))
        return None if seconds is None else response.at + seconds
    moment = parse_http_date(value) if "," in value else parse_iso(value.strip())
    return None if moment is None else moment - ahead


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return _believed(number)


def _believed(number: float) -> float | None:
    return number if 0 <= number <= _LARGEST else None


# ----------------------------------------------------------------------------------------------------------- bodies


def _of_body(body: ErrorBody) -> Iterator[QuotaNote]:
    if body.foreign:  # not the platform's words
        return
    named = body.details.get("currentLimit", body.details.get("current_limit"))
    # Without wide gaps: the time to look for a limit grows with their cube.
    texts = [" ".join(text[:2_000].split()) for text in (named, body.message, body.code) if isinstance(text, str)]
    for text in texts:
        rate = _RATE.search(text)
        if rate is not None:
            number = _believed(float(re.sub("[,_]", "", rate[1])) * (1000 if rate[2] else 1))
            kind = _KINDS.get((rate[3] or "").lower(), "minutes" if (rate[3] or "").lower() == "min" else "requests")
            yield QuotaNote(kind, _SPANS[rate[4].lower()], number or None, reached=True)
            return
    for text in (text.replace("_", " ") for text in texts):
        quota = _NAMED.search(text)
        if quota is not None:
            words = re.findall("[a-z]+|24", quota[1].lower())
            span = "day" if "24" in words else next(_SPANS[word] for word in words if word in _SPANS)
            yield QuotaNote(_kind_in(text), span, reached=True)
            return


def _kind_in(text: str) -> QuotaKind:
    return "minutes" if _DURATION.search(text) else "tokens" if _TOKENS.search(text) else "requests"

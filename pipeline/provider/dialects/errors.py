"""Error translation: what the platform answers becomes one of our errors."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError, Throttled, Transient
from pipeline.provider.dialects.error_codes import BY_STATUS, KEY_REFUSED, NO_CREDIT, NOT_ALLOWED, REFUSED, Meaning
from pipeline.provider.dialects.json_reading import ErrorBody, clip, read_error_body
from pipeline.provider.dialects.protocol import Request, Response
from pipeline.provider.dialects.retry_after import requested_wait, retry_after_header

#: What is said of the cancelling of a batch that has ended.
_ENDED_BATCH = frozenset({"batch_completed", "batch_canceled", "batch_expired"})
_OF_READS = frozenset({400, 404, 405, 410, 413, 415, 422})  #: refusals that say something about what was asked
#: Statuses that, with a proper body, prove that a call was not accepted. Anything else that is no success proves nothing:
#: the platform, or something before it, may say it after the call was accepted.
_PROOFS = frozenset({400, 401, 403, 413, 422, 429})
_FAILED_READ = 300.0  #: seconds that a failing platform may make a read wait
_THROTTLED_READ = 900.0  #: seconds that a rate limit may make a read wait


def not_in_this_api(what: str, api: str, instead: str = "") -> Permanent:
    """Return the error for what a dialect has no call for."""
    return Permanent(f"API {api} has no call for {what}", code="not_in_this_api", remedy=instead)


def lost(
    request: Request, message: str, *, code: str = "", after: float | None = None, detail: str = "", remedy: str = ""
) -> ReelmillError:
    """Return what an unknown end means; only a safe request is simply repeated."""
    if request.safe:
        return Transient(message, code=code, after=after, detail=detail, remedy=remedy)
    return Ambiguous(f"{message}; it may have been accepted", detail=detail, remedy=remedy)


def proves_nothing(response: Response, request: Request) -> bool:
    """Return True if a call may have been accepted although this is no success."""
    if request.safe:
        return False
    body = read_error_body(response)
    return response.status not in _PROOFS or body.foreign or not (body.code or body.message)


def classify(response: Response, request: Request, meanings: Mapping[str, Meaning], *, wait: float) -> ReelmillError:
    """Return our error for any response that is not 2xx."""
    body, status = read_error_body(response), response.status
    meaning = meanings.get(body.code)
    detail = clip(f"HTTP {status} {body.code} {body.message}".strip())
    refused = 400 <= status < 500
    if status == 429 or (refused and meaning is not None and meaning.kind == "throttle"):
        named = requested_wait(response, body)
        return Throttled(
            "the platform's rate limit is reached",
            after=_bounded(request, wait if named is None else named, _THROTTLED_READ),
            group=request.group,
            detail=detail,
        )
    if status in (401, 402, 403):
        default = {401: KEY_REFUSED, 402: NO_CREDIT}.get(status, NOT_ALLOWED)
        return _operator(meaning if meaning is not None and meaning.kind == "operator" else default, detail)
    if 300 <= status < 400:
        moved = Meaning(
            "operator", "redirected", "the platform's address redirects elsewhere", "check [provider] base_url"
        )
        return _operator(moved, detail)
    if refused:
        return _refusal(response, request, body, meaning, detail)
    named = retry_after_header(response)
    return lost(
        request,
        f"the platform answered with status {status}",
        code="provider_down",
        after=None if named is None else _bounded(request, named, _FAILED_READ),
        detail=detail,
    )


def _bounded(request: Request, wait: float, most: float) -> float:
    """Return the wanted wait, cut for a read, which costs nothing."""
    return min(wait, most) if request.safe else wait


def _operator(meaning: Meaning, detail: str) -> NeedsOperator:
    return NeedsOperator(meaning.message, code=meaning.code, remedy=meaning.remedy, detail=detail)


def _refusal(
    response: Response, request: Request, body: ErrorBody, meaning: Meaning | None, detail: str
) -> ReelmillError:
    if meaning is not None and meaning.kind == "operator":
        return _operator(meaning, detail)
    if response.status == 425:
        return lost(request, "the platform wants the request later", code="too_early", detail=detail)
    if response.status == 408 or (meaning is not None and meaning.kind == "later"):
        words = meaning.message if meaning is not None else "the platform waited too long for the request"
        return lost(request, words, code=meaning.code if meaning is not None else "provider_gave_up", detail=detail)
    if response.status == 404 and (body.foreign or (body.message and not body.code)):
        # A proxy, a gateway without its platform, or a wrong address: they answer without a code. If we read this as
        # "unknown id", an outage would make us upload and pay again.
        return lost(
            request, "something other than the platform answered", code="not_the_api", detail=detail,
            remedy="check [provider] base_url and the proxy",
        )  # fmt: skip
    ended = response.status == 409 and request.path.endswith("/cancel")  # what is to be cancelled is over
    says = response.status in _OF_READS or body.code in _ENDED_BATCH or ended
    if request.safe and request.method != "DELETE" and not says:
        return Transient(
            "the platform gave an odd answer to a question about how things stand", code="odd_answer", detail=detail,
            remedy="`reelmill retry` asks again",
        )  # fmt: skip
    meaning = meaning or BY_STATUS.get(response.status, REFUSED)
    model = request.json.get("model_name") if isinstance(request.json, dict) else None
    if isinstance(model, str) and meaning.code.startswith("parameter_") and "model_name" in body.message:
        message = f"the platform does not know the model '{clip(model)}', or does not let this account use it"
        remedy = "correct [provider] model; the platform's own words below may name the models that it has"
        return Permanent(message, code=meaning.code, remedy=remedy, detail=detail)
    return Permanent(meaning.message, code=meaning.code, remedy=meaning.remedy, detail=detail)

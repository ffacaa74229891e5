"""The platform's error codes as data; the status decides first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Meaning:
    """What must happen next, and its words; ``code`` is for ``retry --class``."""

    kind: Literal["operator", "throttle", "later", "permanent"]
    code: str
    message: str
    remedy: str = ""


_KEY = "set TWELVELABS_API_KEY to a key that is valid now; keys expire"
_PAY = "add credit or change the plan in the platform's dashboard, then run the same command again"
_PLAN = "check what the account's plan and region allow"
_RECODE = "transcode the file, and run again"
_CUT = "cut the file into parts that the platform takes"
_BUG = "this is our request's fault: please report it with the detail"
KEY_REFUSED = Meaning("operator", "key_refused", "the platform refuses the API key", _KEY)
NOT_ALLOWED = Meaning("operator", "not_allowed", "the account may not do this", _PLAN)
GONE = Meaning("permanent", "resource_not_exist", "the platform does not know this id")
NO_CREDIT = Meaning("operator", "no_credit", "the account has no credit left", _PAY)
_LIMIT = Meaning("throttle", "rate_limited", "a rate limit is reached")


def _bad(code: str, message: str, remedy: str = "") -> Meaning:
    return Meaning("permanent", code, message, remedy)


MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        "api_key_invalid": KEY_REFUSED,
        "unauthorized": KEY_REFUSED,
        "unauthorized_request": KEY_REFUSED,
        "api_allowed_for_paid_plan": Meaning("operator", "plan_required", "this needs a paid plan", _PLAN),
        "api_not_allowed": NOT_ALLOWED,
        "region_not_allowed": Meaning("operator", "region_not_allowed", "the platform refuses this region", _PLAN),
        "insufficient_funds": NO_CREDIT,
        "usage_limit_exceeded": NO_CREDIT,
        "too_many_requests": _LIMIT,
        "RATE_LIMIT_EXCEEDED": _LIMIT,
        "request_canceled_or_timed_out": Meaning("later", "provider_gave_up", "the platform gave up on the request"),
        "task_cannot_be_deleted": Meaning("later", "task_cannot_be_deleted", "the task is not finished yet"),
        "resource_not_exist": GONE,
        "not_found": GONE,
        "parameter_invalid": _bad("parameter_invalid", "the platform refuses a field of the request", _BUG),
        "parameter_not_provided": _bad("parameter_not_provided", "the platform misses a field in the request", _BUG),
        "parameter_unknown": _bad("parameter_unknown", "the platform does not know a field of the request", _BUG),
        "tags_not_allowed": _bad("tags_not_allowed", "the platform takes no tags here", _BUG),
        "api_upgrade_required": _bad(
            "api_upgrade_required",
            "the platform no longer speaks this API version",
            "set [provider] api to a newer one",
        ),
        "index_option_cannot_be_changed": _bad(
            "index_option_cannot_be_changed", "an index keeps the options it was made with", "use another index name"
        ),
        "index_engine_cannot_be_changed": _bad(
            "index_engine_cannot_be_changed", "an index keeps the models it was made with", "use another index name"
        ),
        "index_name_already_exists": _bad("index_name_already_exists", "an index of this name exists already"),
        "video_resolution_too_low": _bad("video_resolution_too_low", "the picture is too small", _RECODE),
        "video_resolution_too_high": _bad("video_resolution_too_high", "the picture is too large", _RECODE),
        "video_resolution_invalid_aspect_ratio": _bad(
            "video_resolution_invalid_aspect_ratio", "the picture is too wide or too tall", _RECODE
        ),
        "video_duration_too_short": _bad("video_duration_too_short", "the video is too short"),
        "video_duration_too_long": _bad("video_duration_too_long", "the video is too long", _CUT),
        "video_file_broken": _bad("video_file_broken", "the platform cannot read the video file", _RECODE),
        "video_filesize_too_large": _bad("video_filesize_too_large", "the video file is too large", _CUT),
        "audio_file_broken": _bad("audio_file_broken", "the platform cannot read the audio", _RECODE),
        "unsupported_file_type": _bad("unsupported_file_type", "the platform does not take this kind of file", _RECODE),
        "asset_unavailable": _bad(
            "asset_unavailable", "the platform cannot read the upload any more", "upload it again"
        ),
        "token_limit_exceeded": _bad(
            "token_limit_exceeded", "video and prompt are too long for the model", "shorten the prompt or cut the video"
        ),
        "index_not_supported_for_generate": _bad("index_not_supported_for_generate", "the index has no such model"),
        "index_not_supported_for_search": _bad("index_not_supported_for_search", "the index cannot be searched"),
        "not_supported_by_local_platform": _bad(
            "not_supported_by_local_platform",
            "the local platform cannot do this",
            "`reelmill why ITEM` shows the platform's own words, which say what to do instead",
        ),
        "search_option_not_supported": _bad("search_option_not_supported", "the index lacks this search option"),
        "search_option_combination_not_supported": _bad(
            "search_option_combination_not_supported", "these search options do not go together"
        ),
        "search_filter_invalid": _bad("search_filter_invalid", "the search filter is not valid"),
        "search_page_token_expired": _bad("search_page_token_expired", "the page of results is no longer kept"),
        "idempotency_key_reused": _bad("idempotency_key_reused", "the key of the request stands for another one", _BUG),
        "batch_not_terminal": _bad("batch_not_terminal", "the batch is still running"),
        "batch_completed": _bad("batch_completed", "the batch is already completed"),
        "batch_canceled": _bad("batch_canceled", "the batch was canceled"),
        "batch_expired": _bad("batch_expired", "the batch has expired"),
    }
)

#: What a 4xx means when its code says nothing; others are ``refused``.
BY_STATUS: Mapping[int, Meaning] = MappingProxyType(
    {
        404: GONE,
        405: _bad("not_the_api", "the address does not offer this call", "check [provider] base_url"),
        409: _bad("conflict", "the platform's state does not allow this now"),
        410: _bad("gone", "the platform no longer keeps this"),
        413: _bad("too_large", "the request is larger than the platform takes"),
        415: _bad("unsupported_file_type", "the platform does not take this kind of body", _BUG),
        422: _bad("unprocessable", "the platform cannot work with a value of the request", _BUG),
    }
)
REFUSED = _bad("refused", "the platform refuses the request")

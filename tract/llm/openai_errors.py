"""What a failure of the openai package means: which of our errors, and whether to try again.

`model_error` is the only place where foreign exceptions are mapped. Classes
are recognised by name along the method resolution order, because openai 2
lets exceptions of httpx through, openai 3 those of httpx2, and none of the
three may be imported before a client is built. Imports `errors`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from tract.errors import (
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelResponseError,
    ModelTimeoutError,
)

LONGEST_WAIT = 60.0
"""Seconds; what a provider asks for beyond that is left to the caller."""

_too_long = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context length exceeded"
    r"|(?:exceeds?|larger than|longer than) the (?:available |model's |maximum )*context|prompt is too long"
    r"|input tokens exceed|token count(?: \([\d,]+\))? exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_sent_tokens = re.compile(
    r"(?:resulted in|requested(?: about)?|request has|too long:|token count \(|n_prompt_tokens\D{1,4})\s*([\d,]+)",
    re.IGNORECASE,
)
_limit_tokens = re.compile(
    r"(?:context length (?:is|of)|configured limit of|tokens allowed \(|n_ctx\D{1,4}|tokens >)\s*([\d,]+)",
    re.IGNORECASE,
)

_term = re.compile(r"[a-z][a-z0-9_.\[\]-]{0,60}")
"""A code or the name of a parameter, and no words of the user's."""

_statuses_of_codes = {
    "invalid_api_key": 401,
    "rate_limit_exceeded": 429,
    "slow_down": 429,
    "insufficient_quota": 429,
    "server_error": 500,
}

_used_up = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
    }
)
"""Codes and types that say that nothing is left to spend, whatever the status.

The first five stand in OpenAI's help article 5955604, *Troubleshooting API rate
limits and 429 errors*, and Azure sends the first of them too; the next two are
OpenAI's older ones, the last is Anthropic's. OpenRouter and DeepSeek say it by
status 402.
"""


class ReportedError(Exception):
    """An error object where an answer was to be.

    Attributes:
        body: The object, or whatever stands in its place.
    """

    def __init__(self, body: object) -> None:
        super().__init__("the provider reported an error in its answer")
        self.body = body
        fields = body if isinstance(body, Mapping) else {}
        self.code = fields.get("code")
        self.type = fields.get("type")
        self.message = fields.get("message")


def model_error(exc: Exception) -> ModelError | None:
    """Return our error for *exc*, or None for what is nobody's failure but a bug.

    The error holds none of the provider's words: those may repeat the user's
    text or a part of the key, and stay on *exc*.
    """
    if isinstance(exc, ModelError):
        return exc
    for kind in type(exc).__mro__:
        # httpx and httpx2 name their classes alike.
        package = kind.__module__.partition(".")[0].rstrip("0123456789")
        if made := _errors.get(f"{package}.{kind.__name__}"):
            return made(exc)
    return None


def is_transient(error: ModelError) -> bool:
    """Say whether the same request may well succeed when it is sent again."""
    if isinstance(error, ModelQuotaError):
        return False
    if error.status is None:
        return isinstance(error, (ModelConnectionError, ModelTimeoutError))
    return error.status in (408, 409, 429) or error.status >= 500


def pause(exc: Exception, failures: int, chance: float) -> float:
    """Return how many seconds to wait before the next attempt.

    That is what the provider asks for, at most `LONGEST_WAIT`; otherwise half
    a second, doubled with each of the *failures* so far up to 8 s, less up to
    a quarter by *chance* (0 to 1) so that many clients do not come back at
    once.
    """
    asked = retry_after(exc)
    if asked is not None:
        return min(asked, LONGEST_WAIT)
    return float(min(8.0, 0.5 * 2.0 ** (failures - 1)) * (1 - chance / 4))


def retry_after(exc: Exception) -> float | None:
    """Return the seconds that the provider asks to wait, if it does.

    The header is a number of seconds or an HTTP date (RFC 9110, 10.2.3),
    which is read against the provider's own clock where it tells the time.
    """
    headers: Mapping[str, str] = getattr(getattr(exc, "response", None), "headers", {})
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then, now = _date(value), _date(headers.get("date", ""))
        if then is None:
            return None
        seconds = (then - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if isfinite(seconds) else None


def _date(value: str) -> datetime | None:
    # RFC 9110's IMF-fixdate, the one form that servers send. email.utils reads
    # more, and costs 7 ms of `import tract`.
    try:
        return datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def _timed_out(_: Exception) -> ModelError:
    return ModelTimeoutError("the provider was silent for too long")


def _disconnected(_: Exception) -> ModelError:
    return ModelConnectionError("the connection to the provider failed")


def _unreadable(_: Exception) -> ModelError:
    return ModelResponseError("the provider's answer could not be read")


def _unexpected(_: Exception) -> ModelError:
    return ModelResponseError("the openai package refused the call")


def _answered(exc: Any) -> ModelError:
    """Map an error that the provider itself reported, by status or in the stream."""
    status = _status(exc)
    if status == 402 or _used_up.intersection(map(str, (exc.code, getattr(exc, "type", None)))):
        return ModelQuotaError("the quota is used up", status=status)
    if status in (401, 403):
        return ModelAuthError("the provider refused the key", status=status)
    if status == 429:
        return ModelRateLimitError("the provider limits the rate", status=status, retry_after=retry_after(exc))
    if status in (408, 504):
        return ModelTimeoutError("the provider timed out", status=status)
    if status is not None and status >= 500:
        return ModelResponseError("the provider failed", status=status)
    if exc.code == "content_filter":
        # Azure's word for a prompt that its policy does not let through.
        return ModelRefusalError("the provider's content filter refused the request", status=status)
    words = f"{exc.code} {str(exc.message)[:4000]} {str(exc.body)[:4000]}"
    if _too_long.search(words):
        tokens, limit = _number(_sent_tokens, words), _number(_limit_tokens, words)
        return ModelContextError("the context is too long for the model", status=status, tokens=tokens, limit=limit)
    done = "reported an error in its answer" if status is None else "refused the request"
    named = [each for each in (exc.code, getattr(exc, "param", None)) if isinstance(each, str) and _term.fullmatch(each)]
    terms = f" ({': '.join(named)})" if named else ""
    return ModelResponseError(f"the provider {done}{terms}", status=status)


def _status(exc: Any) -> int | None:
    """Return the HTTP status; for an error inside a stream, the one its code stands for."""
    status = getattr(exc, "status_code", None)
    if isinstance(status, int):
        return status
    code = str(exc.code)
    if re.fullmatch(r"[45]\d\d", code):
        return int(code)
    return _statuses_of_codes.get(code)


def _number(pattern: re.Pattern[str], words: str) -> int | None:
    found = pattern.search(words)
    digits = found.group(1).replace(",", "") if found else ""
    return int(digits) if digits else None


_errors: dict[str, Callable[[Exception], ModelError]] = {
    "openai.APITimeoutError": _timed_out,
    "openai.APIConnectionError": _disconnected,
    "openai.APIResponseValidationError": _unreadable,
    "openai.APIError": _answered,
    "openai.OpenAIError": _unexpected,
    "httpx.TimeoutException": _timed_out,
    "httpx.DecodingError": _unreadable,
    "httpx.RequestError": _disconnected,
    "httpx.StreamError": _disconnected,
    "httpx.InvalidURL": _disconnected,
    "anyio.EndOfStream": _disconnected,
    "anyio.BrokenResourceError": _disconnected,
    "anyio.ClosedResourceError": _disconnected,
    "tract.ReportedError": _answered,
    "json.JSONDecodeError": _unreadable,
    "builtins.UnicodeDecodeError": _unreadable,
    "builtins.TimeoutError": _timed_out,
    "builtins.OSError": _disconnected,
}

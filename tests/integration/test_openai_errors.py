"""Every exception of the openai package and of its transport, and what it is to us."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio
import openai
import openai.lib.azure
import openai.types.chat
import pytest

from tract.errors import (
    ModelAuthError,
    ModelConnectionError,
    ModelError,
    ModelRateLimitError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.llm.openai_errors import model_error

# httpx with openai 2, httpx2 with openai 3.
httpx: Any = import_module("httpx2" if find_spec("httpx2") else "httpx")

HTTP_REQUEST = httpx.Request("POST", "http://127.0.0.1/v1")


def by_status(kind: Any) -> Exception:
    status = {"APIStatusError": 418, "OAuthError": 401, "RateLimitError": 429, "InternalServerError": 500}.get(
        kind.__name__, getattr(kind, "status_code", 400)
    )
    response = httpx.Response(status, request=HTTP_REQUEST)
    # Its message is the provider's, and openai 2 has no such class.
    words = () if kind.__name__ == "OAuthError" else ("no",)
    made: Exception = kind(*words, response=response, body=None)
    return made


def plain(kind: Any) -> Exception:
    made: Exception = kind("no")
    return made


MAPPED: dict[str, tuple[Callable[[Any], Exception], type[ModelError]]] = {
    "APIError": (lambda kind: kind("no", HTTP_REQUEST, body=None), ModelResponseError),
    "APIResponseValidationError": (
        lambda kind: kind(httpx.Response(200, request=HTTP_REQUEST), None),
        ModelResponseError,
    ),
    "APIStatusError": (by_status, ModelResponseError),
    "BadRequestError": (by_status, ModelResponseError),
    "AuthenticationError": (by_status, ModelAuthError),
    "OAuthError": (by_status, ModelAuthError),
    "PermissionDeniedError": (by_status, ModelAuthError),
    "NotFoundError": (by_status, ModelResponseError),
    "ConflictError": (by_status, ModelResponseError),
    "UnprocessableEntityError": (by_status, ModelResponseError),
    "RateLimitError": (by_status, ModelRateLimitError),
    "InternalServerError": (by_status, ModelResponseError),
    "APIConnectionError": (lambda kind: kind(request=HTTP_REQUEST), ModelConnectionError),
    "APITimeoutError": (lambda kind: kind(HTTP_REQUEST), ModelTimeoutError),
    "OpenAIError": (plain, ModelResponseError),
    "SubjectTokenProviderError": (plain, ModelResponseError),
    "LengthFinishReasonError": (lambda kind: kind(completion=openai.types.chat.ChatCompletion.construct()), ModelResponseError),
    "ContentFilterFinishReasonError": (lambda kind: kind(), ModelResponseError),
    "WebSocketConnectionClosedError": (lambda kind: kind("no", unsent_messages=[]), ModelResponseError),
    "WebSocketQueueFullError": (plain, ModelResponseError),
    "StreamAlreadyConsumed": (lambda kind: kind(), ModelResponseError),
    "MutuallyExclusiveAuthError": (lambda kind: kind(), ModelResponseError),
    "APIRemovedInV1": (lambda kind: kind(symbol="Completion"), ModelResponseError),
    "_AmbiguousModuleClientUsageError": (lambda kind: kind(), ModelResponseError),
    "MissingDependencyError": (plain, ModelResponseError),
}


def family(kind: type[Exception]) -> Iterator[type[Exception]]:
    """Walk the classes of the installed package, not those of this test run's other plugins."""
    if kind.__module__.partition(".")[0] == "openai":
        yield kind
    for child in kind.__subclasses__():
        yield from family(child)


SDK_ERRORS = list(family(openai.OpenAIError))


def test_every_error_class_of_the_sdk_is_known_here() -> None:
    assert {kind.__name__ for kind in SDK_ERRORS} - MAPPED.keys() == set()


@pytest.mark.parametrize("kind", [kind for kind in SDK_ERRORS if kind.__name__ in MAPPED], ids=lambda kind: kind.__name__)
def test_every_error_of_the_sdk_is_one_kind_of_ours(kind: type[Exception]) -> None:
    make, ours = MAPPED[kind.__name__]
    assert type(model_error(make(kind))) is ours


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (httpx.ReadTimeout("no"), ModelTimeoutError),
        (httpx.PoolTimeout("no"), ModelTimeoutError),
        (httpx.ReadError("no"), ModelConnectionError),
        (httpx.RemoteProtocolError("no"), ModelConnectionError),
        (httpx.UnsupportedProtocol("no"), ModelConnectionError),
        (httpx.InvalidURL("no"), ModelConnectionError),
        (httpx.DecodingError("no"), ModelResponseError),
        (anyio.EndOfStream(), ModelConnectionError),
        (anyio.ClosedResourceError(), ModelConnectionError),
        (anyio.BrokenResourceError(), ModelConnectionError),
        (ConnectionResetError(), ModelConnectionError),
        (TimeoutError(), ModelTimeoutError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), ModelResponseError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_transport_is_one_kind_of_ours(raised: Exception, ours: type[ModelError]) -> None:
    assert type(model_error(raised)) is ours


def test_httpx_and_httpx2_are_told_alike() -> None:
    of_openai_2 = type("ReadTimeout", (type("TimeoutException", (Exception,), {"__module__": "httpx"}),), {"__module__": "httpx"})
    assert type(model_error(of_openai_2())) is ModelTimeoutError


def test_a_bug_is_not_taken_for_a_failure_of_the_provider() -> None:
    assert model_error(TypeError("a bug")) is None

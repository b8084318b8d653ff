"""The two shapes of OpenAI's Chat Completions: the body that is sent and the answer that is put together.

Pure, and without the openai package: JSON values in, values of ours out.
Imports `errors` and `domain`.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import msgspec
from attrs import Factory, define

from tract.domain.content import require_tool_name
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import ToolCall
from tract.domain.texts import require_text
from tract.errors import ContentValidationError, ModelNotConfiguredError, ModelResponseError


def name_of_limit(base_url: str | None) -> str:
    """Return what a server calls the most tokens that an answer may have; None is OpenAI's own.

    OpenAI deprecated `max_tokens` for `max_completion_tokens`, and its models
    that reason refuse it: *Create chat completion* in its API reference, and
    the same of Azure's. Servers of others often know `max_tokens` alone.
    """
    host = "api.openai.com" if base_url is None else urlsplit(base_url).hostname or ""
    is_openai = f".{host.rstrip('.')}".endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


def body(request: ModelRequest, limit: str = "max_tokens") -> bytes:
    """Return the JSON of *request*, streaming.

    Settings that are not set are not sent. What OpenAI's own API does not
    know (`top_k`, `extra`) stands beside the rest, where other servers read it.

    Encoded here and not by the SDK, which takes 170 ms to walk 1,000 messages,
    and 2 ms to encode them where it is not given them to walk. Those of a turn
    are encoded already, and only copied here.

    Args:
        request: What to send.
        limit: What the server calls `max_tokens`.

    Raises:
        ModelNotConfiguredError: The request names no model.
    """
    settings = request.config.to_dict()
    if "model" not in settings:
        raise ModelNotConfiguredError("model")
    extra = settings.pop("extra", {})
    if "stop_sequences" in settings:
        settings["stop"] = settings.pop("stop_sequences")
    if "max_tokens" in settings:
        extra.pop("max_completion_tokens", None)
        settings[limit] = settings.pop("max_tokens")
    offered = {"tools": request.tools, "tool_choice": request.tool_choice, "response_format": request.response_format}
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    given = {name: value for name, value in offered.items() if value}
    # What a field says, or an argument of the call, no provider option says otherwise.
    fields = {**extra, **settings, **streaming, **given}
    fields.pop("messages", None)
    before = b'%b,"messages":' % _encoder.encode(fields)[:-1]
    whole = request.find_json(before, b"}")
    if whole is not None:
        return whole
    return b"".join((before, _encoder.encode(list(request.messages)), b"}"))


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encoder = msgspec.json.Encoder(enc_hook=_as_dict)


@define
class _Call:
    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@define
class Answer:
    """An answer that is put together from chunks.

    A whole completion counts as one chunk, so a server that ignores `stream`
    is understood as well. Only the first choice is read.

    Attributes:
        model: The model that answers, once it was named.
        finish_reason: Why it ended, once that was said.
        usage: What it cost, once that was said.
        is_whole: Whether nothing is missing: a stream gave its reason to end,
            or its end mark.
        has_begun: Whether any of the answer itself has arrived.
    """

    model: str | None = None
    finish_reason: str | None = None
    usage: UsageFigures | None = None
    is_whole: bool = False
    has_begun: bool = False
    _has_choice: bool = False
    _has_chunk: bool = False
    _texts: list[str] = Factory(list)
    _refusals: list[str] = Factory(list)
    _thoughts: list[str] = Factory(list)
    _calls: list[_Call] = Factory(list)

    def add(self, chunk: object) -> str:
        """Take in *chunk* and return the text that it adds, often none.

        The words of a refusal are such a text, since somebody is told them;
        what the model thinks is none.

        Raises:
            ModelResponseError: It is no chunk.
        """
        if not isinstance(chunk, Mapping):
            raise ModelResponseError("the provider's answer is not a completion")
        self._has_chunk = True
        self.model = self.model or _label(chunk, "model")
        self.usage = figures(chunk.get("usage")) or self.usage
        choice = _first_choice(chunk)
        if choice is None:
            return ""
        self._has_choice = True
        self.finish_reason = _label(choice, "finish_reason") or self.finish_reason
        self.is_whole = self.is_whole or self.finish_reason is not None or "message" in choice
        part = choice.get("delta") or choice.get("message") or {}
        return self._add_part(_mapping(part))

    def end(self) -> None:
        """Take in the end mark, behind which nothing follows; some servers give no reason before it.

        Calls without a reason stay cut: half the arguments do harm.
        """
        self.is_whole = self.is_whole or (self.has_begun and not self._calls)

    def is_void(self) -> bool:
        """Say whether chunks came and none of them held a choice."""
        return self._has_chunk and not self._has_choice

    def reply(self, attempts: tuple[Attempt, ...]) -> ModelReply:
        """Return the whole answer.

        Raises:
            ModelResponseError: It holds no choice, or a tool call that could
                not be recorded.
        """
        if not self._has_choice:
            raise ModelResponseError("the provider's answer holds no choice")
        calls = _tool_calls(sorted(self._calls, key=lambda call: call.index))
        text = "".join(self._texts)
        # A stream opens with an empty text whether or not one follows, so only
        # without calls does the empty one mean that nothing was said.
        said = text if text or (self._texts and not calls) else None
        thought, refused = _mended("".join(self._thoughts)) or None, "".join(self._refusals) or None
        return ModelReply(said, self.model, self.finish_reason, calls, self.usage, attempts, thought, refused)

    def _add_part(self, part: Mapping[str, Any]) -> str:
        for fragment in _list(part, "tool_calls"):
            self._add_call(_mapping(fragment))
        self._thoughts.append(_thought(part))
        text, refusal = _string(part, "content"), _string(part, "refusal")
        if text is not None:
            self._texts.append(text)
        self._refusals.append(refusal or "")
        added = f"{text or ''}{refusal or ''}"
        self.has_begun = self.has_begun or bool(added) or bool(self._calls)
        return added

    def _add_call(self, fragment: Mapping[str, Any]) -> None:
        function = _mapping(fragment.get("function") or {})
        identity, name = _string(fragment, "id"), _string(function, "name")
        index = fragment.get("index")
        call = self._begun(index if isinstance(index, int) else None, identity, name)
        call.id = call.id or identity or ""
        call.name = call.name or name or ""
        call.arguments += _string(function, "arguments") or ""

    def _begun(self, index: int | None, identity: str | None, name: str | None) -> _Call:
        """Return the call that a fragment belongs to, a new one where it opens one.

        Some servers give whole calls all one index, some give none, some
        repeat id and name, and some give each fragment an id of its own. So
        an id that is known there is that call's. Else a call begins at one
        index with both an id and a name, and without an index with either.
        """
        known = [call for call in reversed(self._calls) if index is None or call.index == index]
        for call in known:
            if identity and identity == call.id:
                return call
        begins = bool(identity or name) if index is None else bool(identity and name and known and known[0].id)
        if known and not begins:
            return known[0]
        begun = _Call(len(self._calls) if index is None else index)
        self._calls.append(begun)
        return begun


def figures(usage: object) -> UsageFigures | None:
    """Return the figures of a provider's usage object, None where it has none.

    Providers add keys of their own; those are passed over.
    """
    if not isinstance(usage, Mapping):
        return None
    told = UsageFigures(
        prompt=_figure(usage, "prompt_tokens"),
        completion=_figure(usage, "completion_tokens"),
        cached=_figure(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=_figure(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )
    return None if told == UsageFigures() else told


def _figure(values: object, key: str) -> int | None:
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if type(value) is int and value >= 0 else None


def _thought(part: Mapping[str, Any]) -> str:
    """Return the reasoning in a piece of an answer; where it stands twice, once.

    DeepSeek, Qwen and vLLM before 0.11 call it `reasoning_content`; OpenRouter,
    Ollama, Groq and vLLM since call it `reasoning`. Servers that moved from one
    to the other send both, with the same words, and OpenRouter repeats them in
    `reasoning_details`, where those of some models stand alone: as the `text`
    of a `reasoning.text` or the `summary` of a `reasoning.summary`. Sources:
    vLLM's *Reasoning Outputs*, DeepSeek's *Reasoning Model* and OpenRouter's
    *Reasoning Tokens* in their documentation. What is no text is passed over:
    no answer is lost for it.
    """
    for text in (part.get("reasoning_content"), part.get("reasoning")):
        if text and isinstance(text, str):
            return text
    details = part.get("reasoning_details")
    parts = [detail for detail in details if isinstance(detail, Mapping)] if isinstance(details, list) else []
    texts = [detail.get(key) for detail in parts for key in ("text", "summary")]
    return "".join(text for text in texts if isinstance(text, str))


def _mended(text: str) -> str:
    """Return *text* with the halves of a letter that came in two pieces put together, and lone halves replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _first_choice(chunk: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for choice in _list(chunk, "choices"):
        if not _mapping(choice).get("index"):
            return _mapping(choice)
    return None


def _tool_calls(calls: list[_Call]) -> tuple[ToolCall, ...]:
    # Some local servers give no id, and a result must name its call.
    taken = {call.id for call in calls}
    made = (id for number in count() if (id := f"call_{number}") not in taken)
    return tuple(_tool_call(call, call.id or next(made)) for call in calls)


def _tool_call(call: _Call, id: str) -> ToolCall:
    try:
        require_tool_name("name", call.name)
    except ContentValidationError as exc:
        raise ModelResponseError("the model called a tool by a name that no tool can have") from exc
    return ToolCall(id, call.name, call.arguments)


def _string(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is not None:
        _require_text(value)
    return value


def _label(values: Mapping[str, Any], key: str) -> str | None:
    """Return a name beside the answer; a torn one is no reason to lose the answer."""
    value = values.get(key)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else _string(values, key)


def _require_text(value: object) -> None:
    try:
        require_text("text", value)
    except ContentValidationError as exc:
        raise ModelResponseError("the provider's answer holds something else where text belongs") from exc


def _list(values: Mapping[str, Any], key: str) -> list[Any]:
    value = values.get(key) or []
    if not isinstance(value, list):
        raise ModelResponseError("the provider's answer is not a completion")
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ModelResponseError("the provider's answer is not a completion")
    return value

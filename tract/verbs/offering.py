"""What goes to a model beside messages and settings: tools, and the form of the answer.

Imports `core`, `domain`, `errors`, `formats` and `drafting`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from anyio import to_thread
from attrs import frozen

from tract.core import TractCore
from tract.domain import canonical
from tract.domain.ids import BlobId
from tract.errors import ConfigError
from tract.formats.structured import AnswerForm, answer_form
from tract.formats.tools import Tool, tool_schema, tool_schemas
from tract.formats.values import WrongValueError, plain_json
from tract.log.protocol import BlobDraft
from tract.verbs.drafting import OFF_LOOP

ToolChoice: TypeAlias = str | Callable[..., Any] | Mapping[str, Any]
"""auto, none or required, or one of the tools: its name, its function, or a mapping that names it."""

_WORDS = ("auto", "none", "required")


@frozen(eq=False, repr=False)
class Offer:
    """What one call offers the model.

    Attributes:
        tools: Tool schemas, in the format of OpenAI's Chat Completions.
        tool_choice: Which of them must or may be called, in the same format.
        form: What the answer must look like, or None.
        is_checked: Whether an answer is refused that calls a tool which is
            not offered, or calls one with arguments that are no JSON object;
            else who asked deals with such calls. Without tools nothing is.
    """

    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    form: AnswerForm | None = None
    is_checked: bool = True

    @property
    def response_format(self) -> Mapping[str, Any] | None:
        """What the answer must look like, in the same format."""
        return None if self.form is None else self.form.sent

    def options(self) -> dict[str, Any]:
        """Return what is said beside the tools, where anything is, as JSON."""
        given = {"tool_choice": self.tool_choice, "response_format": self.response_format}
        return {name: value for name, value in given.items() if value is not None}


@frozen(eq=False, repr=False)
class OfferDraft:
    """An offer ready to be recorded.

    Attributes:
        tools: Blob of the schemas, or None.
        options: Blob of what is said beside them, or None.
        tokens: What the schemas cost, as their JSON.
    """

    tools: BlobDraft | None = None
    options: BlobDraft | None = None
    tokens: int = 0

    @property
    def tools_id(self) -> BlobId | None:
        """The id of `tools`, where there is any."""
        return None if self.tools is None else self.tools.id

    @property
    def options_id(self) -> BlobId | None:
        """The id of `options`, where there is any."""
        return None if self.options is None else self.options.id

    @property
    def blobs(self) -> tuple[BlobDraft, ...]:
        """What is to be stored."""
        return tuple(blob for blob in (self.tools, self.options) if blob is not None)


NOTHING = Offer()
"""What a call offers that asks for text alone."""


async def draft_offer(t: TractCore, offer: Offer) -> OfferDraft:
    """Return an offer, ready to be recorded; one that was made before shares what is stored."""
    if offer is NOTHING:
        return OfferDraft()
    tokens, tools, options = 0, None, offer.options()
    if offer.tools:
        tools = await _shared(t, list(offer.tools))
        tokens = await _count(t, tools.data.decode())
    return OfferDraft(tools, await _shared(t, options) if options else None, tokens)


async def _shared(t: TractCore, value: canonical.JSON) -> BlobDraft:
    data, store = canonical.encode(value), t.collaborators.shared.store
    await store.remember(data)
    return store.draft(data)


async def _count(t: TractCore, text: str) -> int:
    counter = t.collaborators.counter
    return await to_thread.run_sync(counter.count, text) if len(text) > OFF_LOOP else counter.count(text)


def offer_of(
    tools: Iterable[Tool] | None,
    tool_choice: ToolChoice | None,
    response_format: Any,
    *,
    is_checked: bool = True,
) -> Offer:
    """Return what a call offers, by the arguments of its verb.

    Raises:
        ConfigError: One of them cannot be sent.
    """
    if tools is None and tool_choice is None and response_format is None:
        return NOTHING
    schemas = () if tools is None else tool_schemas(tools)
    form = None if response_format is None else answer_form(response_format)
    return Offer(schemas, _choice(tool_choice, [schema["function"]["name"] for schema in schemas]), form, is_checked)


def _choice(choice: ToolChoice | None, names: list[str]) -> str | Mapping[str, Any] | None:
    """Return what says which tool to call, in the format of OpenAI's Chat Completions."""
    if choice is None:
        return None
    if not names:
        raise ConfigError("tool_choice", "there are no tools to choose from; give tools= as well")
    if isinstance(choice, str):
        return choice if choice in _WORDS else _named(choice, names)
    if not isinstance(choice, Mapping):
        return _named(tool_schema(choice, "tool_choice")["function"]["name"], names)
    try:
        given: dict[str, Any] = plain_json(choice)
        canonical.check(given)
    except (canonical.NotCanonicalError, WrongValueError) as exc:
        raise ConfigError("tool_choice", f"it cannot be stored: {exc}") from exc
    if given.get("type") == "function":
        function = given.get("function")
        return _named(function.get("name") if isinstance(function, dict) else None, names)
    if not isinstance(given.get("type"), str):
        raise ConfigError("tool_choice", "a mapping needs a type, such as function")
    return given


def _named(name: object, names: list[str]) -> Mapping[str, Any]:
    if name not in names:
        raise ConfigError("tool_choice", f"it names none of the tools, which are {', '.join(names)}")
    return {"type": "function", "function": {"name": name}}

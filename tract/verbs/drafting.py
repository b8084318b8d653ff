"""What the writing verbs share: contents made ready to be committed.

Imports `core`, `formats` and everything below.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from anyio import to_thread
from msgspec import Struct

from tract.core import TractCore
from tract.domain import canonical
from tract.domain.commits import ContentRef, Details, Priority
from tract.domain.config import LLMConfig
from tract.domain.content import Content, RegisteredContent
from tract.domain.ids import BlobId
from tract.domain.messages import Message
from tract.domain.parts import ImagePart, Part
from tract.domain.texts import is_blank, require_speaker, require_text
from tract.errors import ContentValidationError
from tract.formats.reading import encode_content
from tract.formats.rendering import default_priority, render
from tract.log.protocol import BlobDraft

OFF_LOOP = 64 * 1024
"""Characters from which text is counted in a thread: the tokenizer keeps the
interpreter to itself, 90 ms for 480 KB."""

_BLANK_FIELDS = {"artifact": "content", "freeform": "payload"}


class Words(Struct, frozen=True, eq=False):
    """What was said about a commit, stored and as given.

    Attributes:
        details: Message, metadata, reason and retain.
        config: What the content was made with, or None.
        details_blob: Id of the stored details, or None.
        config_blob: Id of the stored config, or None.
        blobs: To be stored with the commit.
    """

    details: Details
    config: LLMConfig | None
    details_blob: BlobId | None
    config_blob: BlobId | None
    blobs: tuple[BlobDraft, ...]


class Draft(Struct, frozen=True, eq=False):
    """A content ready to be committed.

    Attributes:
        content: As given.
        ref: Its type and blob.
        message: Its rendering.
        tokens: What that costs.
        priority: Of its slot.
        words: What was said about it.
        blobs: To be stored with the commit, words included.
    """

    content: Content
    ref: ContentRef
    message: Message
    tokens: int
    priority: Priority
    words: Words
    blobs: tuple[BlobDraft, ...]


def as_details(message: str | None = None, metadata: Mapping[str, Any] | None = None) -> Details:
    """Return a commit's message and metadata as details.

    Raises:
        ContentValidationError: The message is not text, or the metadata no mapping.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise ContentValidationError("metadata", f"it must be a mapping, not {type(metadata).__name__}")
    return Details(message=message, metadata=None if metadata is None else dict(metadata))


def draft_words(t: TractCore, details: Details, config: LLMConfig | None = None) -> Words:
    """Return details and config, ready to be stored.

    Raises:
        ContentValidationError: A message, reason, retain or metadata that is
            not text or JSON.
    """
    for name in ("message", "reason"):
        if getattr(details, name) is not None:
            require_text(name, getattr(details, name))
    if config is not None and not isinstance(config, LLMConfig):
        raise ContentValidationError("generation_config", f"it must be an LLMConfig, not {type(config).__name__}")
    blobs = []
    parts = details.to_json()
    try:
        if parts:
            blobs.append(t.blob(parts))
    except canonical.NotCanonicalError as exc:
        raise ContentValidationError("metadata" if details.metadata else "retain", f"{exc}") from exc
    if blobs:
        # As it will be read: no caller can change it, and a tuple is a list.
        details = Details(**msgspec.json.decode(blobs[0].data))
    details_blob = blobs[0].id if blobs else None
    config_blob = None
    if config is not None:
        blobs.append(t.blob(config.to_dict()))
        config_blob = blobs[-1].id
    return Words(details, config, details_blob, config_blob, tuple(blobs))


async def draft_content(t: TractCore, content: Content, words: Words, priority: Priority | str | None = None) -> Draft:
    """Return a content, ready to be committed.

    Raises:
        ContentValidationError: Its message would be blank where no provider
            takes that, or *priority* is none.
    """
    wanted = default_priority(content) if priority is None else as_priority(priority)
    message = render_filled(content)
    blob = await t.content_blob(encode_content(content))
    return _draft(content, message, blob, await count_tokens(t, message), words, wanted)


def draft_now(t: TractCore, content: Content, words: Words) -> Draft:
    """Return what `draft_content` does, without a single await.

    For what must be recorded although its task is being cancelled: a long
    text is counted on the event loop.

    Raises:
        ContentValidationError: Its message would be blank.
    """
    message = render_filled(content)
    blob = t.collaborators.shared.store.draft(encode_content(content))
    tokens = t.collaborators.counter.count_message(message)
    return _draft(content, message, blob, tokens, words, default_priority(content))


def _draft(content: Content, message: Message, blob: BlobDraft, tokens: int, words: Words, priority: Priority) -> Draft:
    ref = ContentRef(content.content_type, blob.id)
    return Draft(content, ref, message, tokens, priority, words, (blob, *words.blobs))


def as_priority(value: Priority | str) -> Priority:
    """Return the priority of a name.

    Raises:
        ContentValidationError: There is none of that name.
    """
    try:
        return Priority(value)
    except ValueError:
        names = ", ".join(priority.value for priority in Priority)
        raise ContentValidationError("priority", f"it must be one of {names}") from None


def render_filled(content: Content) -> Message:
    """Return the message of a content, which must not be blank.

    Raises:
        ContentValidationError: No provider takes a blank system, user or
            call-less assistant message, nor every name of a speaker.
    """
    message = render(content)
    if message.name is not None:
        require_speaker("name", message.name)
    if message.role == "tool" or message.tool_calls:
        return message
    if is_blank(message.text):
        field = "message" if isinstance(content, RegisteredContent) else _BLANK_FIELDS.get(content.content_type, "text")
        raise ContentValidationError(field, f"a message of role {message.role} must not be blank: no provider takes it")
    return message


async def count_tokens(t: TractCore, message: Message) -> int:
    """Return what a message costs, counted in a thread if it is long."""
    counter = t.collaborators.counter
    length = sum(map(_length, message.content)) if isinstance(message.content, tuple) else len(message.text)
    for call in message.tool_calls:
        length += len(call.arguments)
    if length > OFF_LOOP:
        return await to_thread.run_sync(counter.count_message, message)
    return counter.count_message(message)


def _length(part: Part) -> int:
    return len(part.data or "") if isinstance(part, ImagePart) else len(part.text)

"""What a turn makes of the reply that a client gives: a content, or why it is none.

Imports `core`, `domain` and `errors`.
"""

from attrs import asdict, evolve

from tract.core.graph import is_written
from tract.domain.content import DialogueContent
from tract.domain.events import UsageFigures
from tract.domain.exchange import ModelReply
from tract.domain.reports import usage_from
from tract.errors import ContentValidationError, ModelRefusalError, ModelResponseError


def answer_of(reply: ModelReply) -> DialogueContent:
    """Return what is committed of a whole answer.

    Raises:
        ModelRefusalError: The model refused to answer.
        ModelResponseError: It cannot be used.
    """
    if reply.refusal is not None:
        raise ModelRefusalError("the model refused to answer")
    try:
        if not reply.tool_calls and not (reply.text and reply.text.strip()):
            spent = " before max_tokens was spent" if reply.finish_reason == "length" else ""
            raise ContentValidationError("text", f"the model answered nothing{spent}")
        return DialogueContent("assistant", reply.text, tool_calls=reply.tool_calls)
    except ContentValidationError as exc:
        raise ModelResponseError(f"The answer cannot be used ({exc.field}: {exc.reason})") from exc


def partial_answer(text: str) -> DialogueContent | None:
    """Return what is kept of an answer that is not whole, None where nothing arrived."""
    return DialogueContent("assistant", text) if text.strip() else None


def cleaned(reply: ModelReply) -> ModelReply:
    """Return a reply without figures and names that could not be stored.

    Servers send blank model names, and numbers beyond 64 bits. Reasoning and
    refusals are there where they say something.
    """
    model = reply.model if reply.model and reply.model.strip() and is_written(reply.model) else None
    is_word = reply.finish_reason is None or is_written(reply.finish_reason)
    finish_reason = reply.finish_reason if is_word else "other"
    reasoning, refusal = _words(reply.reasoning), _words(reply.refusal)
    usage = storable(reply.usage)
    return evolve(reply, model=model, finish_reason=finish_reason, usage=usage, reasoning=reasoning, refusal=refusal)


def _words(text: object) -> str | None:
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) and text.strip() else None


def storable(figures: UsageFigures | None) -> UsageFigures | None:
    """Return figures, None where they could not be stored."""
    try:
        return None if figures is None else usage_from(asdict(figures))
    except ContentValidationError:
        return None

"""What a turn makes of the reply that a client gives: a content, or why it is none.

Imports `core`, `domain`, `errors`, `formats` and `offering`.
"""

from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve

from tract.core.graph import is_written
from tract.domain.content import DialogueContent
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply
from tract.domain.reports import usage_from
from tract.domain.results import ChatResponse, ParsedResponse
from tract.errors import ContentValidationError, ModelAnswerError, ModelRefusalError, ModelResponseError
from tract.formats.structured import AnswerForm, read_answer
from tract.formats.values import WrongValueError, decode_json
from tract.verbs.offering import Offer


def answer_of(reply: ModelReply) -> DialogueContent:
    """Return what is committed of a whole answer.

    Raises:
        ModelRefusalError: The model refused to answer, or a filter let nothing through.
        ModelResponseError: It cannot be used.
    """
    if reply.refusal is not None:
        raise ModelRefusalError("the model refused to answer")
    try:
        # A client of the caller's own may give what is no text; that is refused below.
        if not reply.tool_calls and not str(reply.text or "").strip():
            if reply.finish_reason == "content_filter":
                raise ModelRefusalError("the provider's content filter withheld the answer")
            spent = " before max_tokens was spent" if reply.finish_reason == "length" else ""
            raise ContentValidationError("text", f"the model answered nothing{spent}")
        return DialogueContent("assistant", reply.text, tool_calls=reply.tool_calls)
    except ContentValidationError as exc:
        raise ModelResponseError(f"The answer cannot be used ({exc.field}: {exc.reason})") from exc


def check_answer(offer: Offer, answer: ModelReply | ChatResponse) -> Any:
    """Return what a whole answer says in the form that was asked for; None where none was.

    An answer that calls tools which it was offered is on its way to another
    one, and is not read.

    Raises:
        ModelAnswerError: It is not what was asked for.
    """
    calls, form = answer.tool_calls, offer.form
    if offer.tools and offer.is_checked:
        names = {schema["function"]["name"] for schema in offer.tools}
        for number, call in enumerate(calls):
            if call.name not in names:
                raise ModelAnswerError(f"the model called a tool that it was not offered (tool_calls[{number}])")
            if not _is_object(call.arguments):
                raise ModelAnswerError(f"the model called a tool with arguments that are no JSON object (tool_calls[{number}])")
    if form is None or form.schema is None or (calls and offer.tools):
        return None
    if calls:
        raise ModelAnswerError("the model called a tool and was offered none")
    if answer.finish_reason == "length":
        raise ModelAnswerError("the answer was cut off before it had the form asked for; allow it more with max_tokens")
    try:
        return read_answer(form, answer.text or "")
    except WrongValueError as exc:
        raise ModelAnswerError(f"the answer has not the form that response_format asked for ({exc})") from exc


def _is_object(arguments: str) -> bool:
    try:
        return not arguments.strip() or isinstance(decode_json(arguments), dict)
    except WrongValueError:
        return False


def with_parsed(response: ChatResponse, form: AnswerForm | None, parsed: Any) -> ChatResponse:
    """Return a response with what was read of its answer, typed where that is a class."""
    if form is None:
        return response
    if form.kind is None:
        return evolve(response, parsed=parsed)
    return ParsedResponse(**{**asdict(response, recurse=False), "parsed": parsed})


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
    usage = _storable(reply.usage)
    return evolve(reply, model=model, finish_reason=finish_reason, usage=usage, reasoning=reasoning, refusal=refusal)


def _words(text: object) -> str | None:
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) and text.strip() else None


def accounts(sent: Sequence[Attempt], reply: ModelReply | None) -> tuple[Attempt, ...]:
    """Return every request with what it cost, as that can be stored.

    Args:
        sent: By the client's word.
        reply: The whole answer, or None. What its client tells there alone is
            what the last request cost.
    """
    told = reply.attempts if reply is not None and sent == () else sent
    attempts = [evolve(attempt, figures=_storable(attempt.figures)) for attempt in told]
    if reply is not None and attempts and attempts[-1].figures is None:
        attempts[-1] = evolve(attempts[-1], figures=reply.usage)
    return tuple(attempts)


def _storable(figures: UsageFigures | None) -> UsageFigures | None:
    """Return figures, None where they could not be stored."""
    try:
        return None if figures is None else usage_from(asdict(figures))
    except ContentValidationError:
        return None

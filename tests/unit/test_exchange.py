"""A request whose messages are JSON already, and one that was made of mappings."""

import copy
import pickle
from typing import Any

from attrs import evolve

from tract import LLMConfig, ModelRequest
from tract.domain.payloads import Payload
from tract.llm.openai_answers import body

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Grüße"}, {"role": "assistant", "content": None}]
CONFIG = LLMConfig(model="tiny", temperature=0.5, extra={"top_a": 1})


def written() -> ModelRequest:
    """Return a request that is JSON already."""
    pieces = ('{"role":"user","content":"Grüße"}'.encode(), b'{"role":"assistant","content":null}')
    return ModelRequest(Payload(pieces), CONFIG, timeout=3.0)


def listed() -> ModelRequest:
    """Return the same one, made of mappings."""
    return ModelRequest(copy.deepcopy(MESSAGES), CONFIG, timeout=3.0)


def test_messages_are_a_list_of_mappings() -> None:
    assert (type(written().messages), written().messages) == (list, MESSAGES)


def test_requests_that_say_the_same_are_equal() -> None:
    assert written() == listed()
    assert listed() == written()
    assert written() == written()
    assert written() != evolve(listed(), messages=[])


def test_the_body_is_byte_for_byte_the_one_of_a_list() -> None:
    assert body(written()) == body(listed())


def test_an_option_called_messages_is_not_sent_in_the_place_of_the_messages() -> None:
    request = evolve(written(), config=LLMConfig(model="tiny", extra={"messages": ["no"]}))
    assert body(request).count(b'"messages"') == 1
    assert b'"no"' not in body(request)


def test_what_a_client_changes_in_the_messages_is_sent() -> None:
    request = written()
    assert request.messages[0] is request.messages[0]
    message = request.messages[0]
    assert isinstance(message, dict)
    message["content"] = "changed"
    assert (request.find_json(), b'"changed"' in body(request)) == (None, True)


def test_a_client_that_sends_other_messages_sends_only_those() -> None:
    request = evolve(written(), messages=[{"role": "user", "content": "other"}])
    assert b'"messages":[{"role":"user","content":"other"}]' in body(request)


def test_a_client_that_changes_the_settings_keeps_the_json() -> None:
    request = evolve(written(), config=LLMConfig(model="large"))
    assert request.find_json() == written().find_json() is not None


def test_copies_of_a_request_say_the_same() -> None:
    for again in (copy.copy(written()), copy.deepcopy(written())):
        assert body(again) == body(written())
        assert again == listed()


def test_a_payload_can_be_pickled() -> None:
    payload = Payload((b'{"role":"user","content":"Hi"}',))
    again = pickle.loads(pickle.dumps(payload))
    assert (again.find_json(), again) == (payload.find_json(), payload)


def test_nothing_that_a_user_said_is_in_the_text_of_a_request() -> None:
    for request in (written(), listed()):
        assert "Grüße" not in repr(request)
        assert "tiny" in repr(request)


def test_a_request_of_nothing_is_an_empty_list() -> None:
    assert ModelRequest(Payload(()), CONFIG).messages == []

"""Blobs that were packed are read for ever: samples that are never regenerated."""

import hashlib

import pytest

from tract.log.packing import DICTIONARY_1, unpack

MESSAGE = (
    '{"content_type":"dialogue","name":null,"role":"assistant","text":"Grüße 🙂: please confirm that you would like to change '
    'your order 4711 before Monday.","tool_calls":[{"arguments":"{\\"id\\": 4711}","id":"call_1","name":"change"}]}'
).encode()

PACKED = [
    pytest.param("00", b"", id="nothing"),
    pytest.param("007b7d", b"{}", id="short"),
    pytest.param(
        "01a3dc41ee4587f71c9e9faaf061fecc262b5879072bd5c1c50ba8bc412af880c504b406009746909ac2c4dcd010560e43aa1e3d749f624400a40401e9440d764344b8432c02853c00",
        MESSAGE,
        id="with dictionary 1",
    ),
]


@pytest.mark.parametrize(("stored", "data"), PACKED)
def test_a_packed_blob_is_read_as_it_was(stored: str, data: bytes) -> None:
    assert unpack(bytes.fromhex(stored)) == data


def test_the_first_dictionary_is_frozen() -> None:
    assert hashlib.sha256(DICTIONARY_1).hexdigest() == "b9082f202527d201e6063be3b318ce8168316b0b5ef654c1f45fd7690ca6ce57"

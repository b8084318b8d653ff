"""The digest chain: every part of an event counts."""

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import canonical, linked, operation_id, tract_id
from tract.domain.ids import OperationId, TractId
from tract.log.chain import START, link

Head = tuple[TractId, int, TractId, str, int, OperationId, str | None, int]
HEAD: Head = (tract_id(1), 1, tract_id(2), "head.moved", 1, operation_id(3), "ann", 5)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def test_a_chain_starts_at_32_zero_bytes() -> None:
    assert bytes(32) == START


@given(version=st.integers(1, 2**53), actor=st.none() | texts, time=st.integers(0, 2**53), data=st.binary(), before=st.binary())
def test_a_digest_is_that_of_the_rules(version: int, actor: str | None, time: int, data: bytes, before: bytes) -> None:
    head: Head = (HEAD[0], version, HEAD[2], HEAD[3], HEAD[4], HEAD[5], actor, time)
    assert link(before, head, data) == linked(before, canonical(list(head)), data)


def test_every_part_of_an_event_counts() -> None:
    others: list[Head] = [
        (tract_id(9), *HEAD[1:]),
        (HEAD[0], 2, *HEAD[2:]),
        (*HEAD[:2], tract_id(9), *HEAD[3:]),
        (*HEAD[:3], "branch.created", *HEAD[4:]),
        (*HEAD[:4], 2, *HEAD[5:]),
        (*HEAD[:5], operation_id(9), *HEAD[6:]),
        (*HEAD[:6], None, HEAD[7]),
        (*HEAD[:7], 6),
    ]
    digests = {link(START, head, b"{}") for head in [HEAD, *others]}
    digests |= {link(bytes([1]) * 32, HEAD, b"{}"), link(START, HEAD, b"[]")}
    assert len(digests) == len(others) + 3

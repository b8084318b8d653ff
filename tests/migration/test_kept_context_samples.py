"""Contexts as version 1 keeps them, in bytes that are never regenerated.

Another shape gets another version, by which these count as not there. So what
is here must be read as it was for as long as `VERSION` is 1; with the next
version the samples become its own.
"""

from tract.operations.frozen import (
    VERSION,
    FrozenAnnotated,
    FrozenChange,
    FrozenEdited,
    FrozenReordered,
    Kind,
    Odd,
    Root,
    SlotLeaf,
    decode_changes,
    decode_root,
    decode_slots,
    key_of,
    unsealed,
)

SPOKEN = Kind("dialogue", 1, speaks_only=True, priority=1, config=9)
ANSWERED = Kind("tool_io", 1, speaks_only=False, priority=0, config=0)
SLOTS = SlotLeaf(
    steps=[7, 1, 3, -2],
    tokens=[12, 5, 0, 2000],
    kinds=[0, 0, 1, 0],
    table=[SPOKEN, ANSWERED],
    odd=[Odd(1, 11, 10, 0, 0, []), Odd(3, 9, 0, 12, 13, [0, 2, 5, 1])],
)
CHANGES: list[FrozenChange] = [
    FrozenEdited(14, 2, 9, 5, SPOKEN),
    FrozenAnnotated(15, [(0, 1, 0), (3, 0, 14)]),
    FrozenReordered(16, [0, 3], [(1, 0), (2, 16)]),
]
ROOT = Root(
    slots=1,
    changes=1,
    slot_tail=SLOTS,
    change_tail=CHANGES,
    hash_tail=bytes(range(32)),
    last=bytes(32),
    order=[0, 3, 9, 1],
    lines=[0, 2, -1, 1],
    closings=[(1, 0)],
    configs=[9],
    slot_count=4,
    slot_tokens=2017,
    line_tokens=17,
)


def test_the_samples_are_those_of_the_version() -> None:
    assert VERSION == 1


def test_a_leaf_of_slots_is_read_as_it_was() -> None:
    stored = (
        "014100beff9594070103fe940c0500cd07d094000001009295a86469616c6f67756501c3010995a7746f6f6c5f696f01c20000"
        "9296010b0a000090960309000c0d9400020501"
    )
    assert decode_slots(bytes.fromhex(stored)) == SLOTS


def test_a_leaf_of_changes_is_read_as_it_was() -> None:
    stored = "9b3c8d818f899375ea8a94ccc49cfcf4d254c6c38c9c9319f9274d66606498ccccc0378549601203f3a4498c0c93980400"
    assert decode_changes(bytes.fromhex(stored)) == CHANGES


def test_a_root_is_read_as_it_was() -> None:
    stored = (
        "85cd390ec2301404d0f9764270f6b0ef70338404429122b9817b10db49470de700da485c818b006ea9987ae6cd99a8321ef1b7095d34ded30004555d"
        "b7f9a690fbe38eee24aacb41ca629d4bba01aaa6c0074e3517082303e692ae1133e1fe8e34254a5b4b73c486a50a5c292bb3f4b10231eeb82daf2dfc"
        "208ce224cd3add5e7f301c8d27d3d97cb1b48d3f31e082ecf7874a8b96c269bc57f605"
    )
    assert decode_root(bytes.fromhex(stored)) == ROOT


def test_keys_and_seals_are_what_they_were() -> None:
    assert key_of(b"a leaf") == 7312542067186986040
    assert unsealed(bytes.fromhex("6defa6dfaecf51ae") + b"root", b"about", b"keys") == b"root"

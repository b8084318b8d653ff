"""Which names people may give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.domain.names import check_name
from tract.errors import InvalidNameError


@pytest.mark.parametrize(
    "name", ["main", "feature/x", "v1.0", "a-b_c", "猫", "é", "deadbeef", "head", "x" * 255, "@", "a b".replace(" ", "")]
)
def test_a_name_that_can_be_told_from_a_ref_is_taken(name: str) -> None:
    check_name("branch", name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "HEAD",
        "ORIG_HEAD",
        "a~1",
        "a^",
        "a:b",
        "a b",
        "a\tb",
        "a\nb",
        "a\x00",
        "\x7f",
        "a?",
        "a*",
        "a[",
        "a\\b",
        "-x",
        "x/",
        "x" * 256,
    ],
)
def test_a_name_that_could_not_be_told_from_a_ref_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        check_name("branch", name)


@pytest.mark.parametrize("name", [None, 5, b"main", ["main"]])
def test_what_is_no_string_is_refused(name: object) -> None:
    with pytest.raises(InvalidNameError):
        check_name("branch", name)  # type: ignore[arg-type]


def test_a_lone_surrogate_is_refused_in_a_message_that_can_be_written() -> None:
    with pytest.raises(InvalidNameError) as caught:
        check_name("branch", "a\ud800")
    str(caught.value).encode("utf-8")


def refusal(name: str) -> str:
    """Why a name is refused; nothing where it is taken."""
    try:
        check_name("tract", name)
    except InvalidNameError as refused:
        return str(refused)
    return ""


@given(st.text())
def test_a_name_is_taken_or_refused_by_a_message_on_one_line(name: str) -> None:
    assert "\n" not in refusal(name)


@given(st.text(min_size=256, alphabet=st.characters()))
def test_a_message_about_a_long_name_can_be_written(name: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        check_name("tract", name)
    assert len(caught.value.name) < 256
    str(caught.value).encode("utf-8")

"""A handle's own settings over those of its tract, as far as the process knows them."""

from hypothesis import given
from hypothesis import strategies as st

from tract import LLMConfig, TokenBudget
from tract.core.settings import Configured, Settings

configs = st.builds(
    LLMConfig,
    model=st.none() | st.sampled_from(["a", "b"]),
    temperature=st.none() | st.floats(0, 2),
    stop_sequences=st.none() | st.lists(st.sampled_from(["x", "y"])).map(tuple),
    seed=st.none() | st.integers(-1, 1),
    extra=st.dictionaries(st.sampled_from(["p", "q"]), st.integers(0, 1)),
)


def settings(known: dict[int, Configured], config: LLMConfig | None = None, budget: TokenBudget | None = None) -> Settings:
    return Settings(1, known, config or LLMConfig(), budget)


def test_what_was_read_before_something_newer_was_known_is_no_news() -> None:
    one = settings({})
    one.learn(Configured(5, budget=TokenBudget(5)))
    one.learn(Configured(3, budget=TokenBudget(3)))
    one.learn(Configured())
    assert one.budget == TokenBudget(5)


def test_what_one_handle_learns_all_of_its_tract_know_and_no_other() -> None:
    known: dict[int, Configured] = {}
    one, two, other = settings(known), settings(known), Settings(2, known, LLMConfig(), None)
    one.learn(Configured(5, LLMConfig(model="a"), TokenBudget(5)))
    assert (two.config, two.budget, other.config, other.budget) == (LLMConfig(model="a"), TokenBudget(5), LLMConfig(), None)


def test_a_copy_has_a_config_of_its_own() -> None:
    one = settings({}, LLMConfig(model="a"), TokenBudget(5))
    two = one.copy()
    two.ask_with(LLMConfig(model="b"))
    two.drop_budget()
    assert (one.config, one.budget) == (LLMConfig(model="a"), TokenBudget(5))


@given(configs, configs)
def test_a_handle_that_gave_way_asks_with_what_was_configured_and_keeps_the_rest(own: LLMConfig, stored: LLMConfig) -> None:
    one = settings({}, own)
    one.learn(Configured(1, stored))
    one.give_way(stored)
    assert one.config == own.override(stored)


@given(configs, configs)
def test_a_config_without_another_shares_nothing_with_it(one: LLMConfig, other: LLMConfig) -> None:
    left, there = one.without(other).to_dict(), other.to_dict()
    assert (left.keys() - {"extra"}) & (there.keys() - {"extra"}) == set()
    assert left.get("extra", {}).keys() & there.get("extra", {}).keys() == set()


@given(configs)
def test_a_config_without_itself_says_nothing(config: LLMConfig) -> None:
    assert config.without(config) == LLMConfig()


@given(configs)
def test_a_config_without_nothing_is_itself(config: LLMConfig) -> None:
    assert config.without(LLMConfig()) == config

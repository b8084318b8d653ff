"""A handle's own settings over those of its tract, as far as the process knows them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import llm_configs
from tract import LLMConfig, OperationConfigs, TokenBudget
from tract.core.settings import Configured, Settings
from tract.domain.operation_configs import OPERATIONS, OperationName

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


def merged(*configs: LLMConfig) -> dict[str, object]:
    """What configs say together, in terms of dicts alone; the later ones win."""
    found: dict[str, object] = {}
    extra: dict[str, object] = {}
    for config in configs:
        found |= config.to_dict()
        extra |= config.extra
    return {**found, "extra": extra} if extra else found


@given(llm_configs(), llm_configs(), st.none() | llm_configs(), llm_configs(), st.sampled_from(OPERATIONS))
def test_what_an_operation_is_asked_with_is_a_merge_of_dicts(
    stored: LLMConfig, own: LLMConfig, config: LLMConfig | None, call: LLMConfig, operation: OperationName
) -> None:
    one = settings({}, own)
    operations = OperationConfigs().replace({operation: config})
    one.learn(Configured(1, stored, operations=operations))
    assert one.config_for(operation).override(call).to_dict() == merged(stored, own, config or LLMConfig(), call)


@given(llm_configs(), llm_configs())
def test_an_operation_of_which_nothing_is_said_is_asked_as_by_default(own: LLMConfig, other: LLMConfig) -> None:
    one = settings({}, own)
    one.learn(Configured(1, operations=OperationConfigs(merge=other)))
    assert one.config_for("compress") == one.config


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

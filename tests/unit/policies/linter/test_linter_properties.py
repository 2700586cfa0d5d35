"""What the linter claims of conditions is so, whatever the values are."""

from __future__ import annotations

from hypothesis import assume, given, strategies as st

from tests.support.conditions import Facts
from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.conditions.condition import Condition, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import Label, Name
from watchtower_agent.policies.conditions.truth import Value
from watchtower_agent.policies.linter.afterwards import after
from watchtower_agent.policies.linter.logic import cases, implies, possible
from watchtower_agent.policies.policy import Then

STATUS = {Verb.RESTART: "running", Verb.STOP: "exited", Verb.PAUSE: "paused"}
PERCENTS = st.sampled_from([10, 20, 90])
BOUNDS = st.sampled_from(["<", "<=", ">", ">="])
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
parts = st.one_of(
    st.builds("memory.percent {} {}%".format, BOUNDS, PERCENTS),
    st.builds("uptime {} {}s".format, BOUNDS, st.sampled_from([1, 30, 60, 3600])),
    st.builds("restarts {} {}".format, SIGNS, st.integers(1, 3)),
    st.builds(
        'health {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(["none", "healthy", "unhealthy"])
    ),
    st.builds(
        "status {} [{}]".format,
        st.sampled_from(["in", "not in"]),
        st.lists(st.sampled_from(['"running"', '"exited"', '"paused"']), min_size=1, max_size=2, unique=True).map(
            ", ".join
        ),
    ),
    st.sampled_from(["engine.responding", 'labels["a"] == "b"', "memory.usage > memory.limit"]),
)


def parsed(text: str) -> Condition:
    return parse_condition(text, ConditionScope.WHEN)


texts = st.recursive(
    parts,
    lambda below: st.one_of(
        st.builds("not ({})".format, below),
        st.builds("({}) and ({})".format, below, below),
        st.builds("({}) or ({})".format, below, below),
    ),
    max_leaves=6,
)
conditions = texts.map(parsed)
facts: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {},
    optional={
        "memory.percent": st.sampled_from([0.0, 5.0, 10.0, 15.0, 20.0, 90.0, 95.0, 100.0]),
        "uptime": st.sampled_from([0.0, 1.0, 15.0, 30.0, 60.0, 61.0, 3600.0, 1e6]),
        "restarts": st.integers(0, 4),
        "health": st.sampled_from(["none", "starting", "healthy", "unhealthy"]),
        "status": st.sampled_from(["running", "exited", "paused", "dead"]),
        "engine.responding": st.booleans(),
        'labels["a"]': st.sampled_from(["", "b"]),
        "memory.usage": st.just(5),
        "memory.limit": st.sampled_from([4, 6]),
    },
)


@given(conditions, facts)
def test_what_is_never_true_never_is(condition: Condition, values: dict[str, Value]) -> None:
    assert possible(condition.tree) or not condition.evaluate(Facts(values))


@given(
    st.tuples(texts, texts).flatmap(
        lambda pair: st.sampled_from(
            [pair, (f"({pair[0]}) and ({pair[1]})", pair[0]), (pair[1], f"({pair[0]}) or ({pair[1]})")]
        )
    ),
    facts,
)
def test_what_follows_is_true_with_it_or_not_known(pair: tuple[str, str], values: dict[str, Value]) -> None:
    one, other = map(parsed, pair)
    if implies(one.tree, other.tree) and one.evaluate(Facts(values)):
        assert other.evaluate(Facts(values)) is not False


@given(conditions, facts)
def test_it_is_true_in_one_of_its_cases_and_in_no_other_way(condition: Condition, values: dict[str, Value]) -> None:
    every = cases(condition.tree)
    assume(every is not None)
    told = [[parsed(str(part)).evaluate(Facts(values)) for part in case] for case in every or ()]
    assert any(all(case) for case in told) is (condition.evaluate(Facts(values)) is True)


@given(
    parts.map(parsed),
    st.sampled_from([Verb.RESTART, Verb.STOP, Verb.PAUSE]),
    st.booleans(),
    st.sampled_from([0.0, 30.0, 100.0]),
    st.data(),
)
def test_what_is_still_true_after_an_action_is(
    condition: Condition, verb: Verb, checked: bool, wait: float, data: st.DataObject
) -> None:
    """Of the same container: its labels stay, what counts its restarts only grows."""
    every = cases(condition.tree) or ()
    then = after(Then(verb=verb), wait=wait, checked=checked)
    restarts = data.draw(st.integers(0, 4))
    now = data.draw(facts) | {"status": STATUS[verb]}
    if not checked:
        now["health"] = "none"
    if verb is Verb.RESTART:
        now["uptime"] = data.draw(st.floats(0.0, wait))
    before = now | {"restarts": restarts}
    now["restarts"] = restarts + data.draw(st.integers(0, 2))
    for part in (part for case in every if then.still(case) for part in case):
        asked = parsed(str(part))
        unchanging = isinstance(part.reference, Label) or part.reference == Name("restarts")
        assert asked.evaluate(Facts(now)) or (unchanging and not asked.evaluate(Facts(before)))

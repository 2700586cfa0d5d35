"""What the linter says of two selectors that nothing is picked by both is so, whatever containers there are."""

from __future__ import annotations

from hypothesis import given, strategies as st

from tests.support.core import container
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.policies.linter.overlap import Reach, replicas_of
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.scale import ScaleTarget, ServiceKind

WORDS = ["web", "web-1", "db", "w", "ab", "a*", "*b", "w?b", "*wb", "[wd]b", "*", "w*1", "web:1", "web:*"]
LABELS = ["tier", "com.docker.compose.project", "com.docker.compose.service", "com.docker.swarm.service.name"]

patterns = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple).map(Patterns)
maybe = st.one_of(st.none(), patterns)


def selectors(exclude: st.SearchStrategy[Selector | None]) -> st.SearchStrategy[Selector]:
    return st.builds(
        Selector,
        names=maybe,
        images=maybe,
        labels=st.dictionaries(st.sampled_from(LABELS), patterns, max_size=2),
        compose_project=maybe,
        compose_service=maybe,
        swarm_service=maybe,
        statuses=st.frozensets(st.sampled_from([ContainerStatus.RUNNING, ContainerStatus.EXITED]), max_size=1),
        exclude=exclude,
    )


any_selector = selectors(st.one_of(st.none(), selectors(st.one_of(st.none(), selectors(st.none())))))
values = st.sampled_from(["web", "web-1", "db", "w", "wb", "ab", "", "x1", "web:1"])
containers = st.builds(
    container,
    values.filter(bool),
    image=values.filter(bool),
    labels=st.dictionaries(st.sampled_from(LABELS), values, max_size=4),
    status=st.sampled_from([ContainerStatus.RUNNING, ContainerStatus.EXITED]),
)


@given(any_selector, any_selector, containers)
def test_nothing_is_picked_by_two_selectors_that_are_apart(one: Selector, other: Selector, it: object) -> None:
    if Reach(one).apart(Reach(other)):
        assert not (one.matches(it) and other.matches(it))  # type: ignore[arg-type] # built as a container


@given(any_selector, any_selector)
def test_it_is_the_same_the_other_way_round(one: Selector, other: Selector) -> None:
    assert Reach(one).apart(Reach(other)) is Reach(other).apart(Reach(one))


targets = st.one_of(
    st.builds(ScaleTarget, kind=st.just(ServiceKind.SWARM), service=values.filter(bool)),
    st.builds(ScaleTarget, kind=st.just(ServiceKind.COMPOSE), project=values.filter(bool), service=values.filter(bool)),
    st.builds(
        ScaleTarget,
        kind=st.just(ServiceKind.GROUP),
        labels=st.dictionaries(st.sampled_from(LABELS), values.filter(bool), min_size=1),
    ),
)


@given(targets, containers)
def test_replicas_are_selected_as_they_are_told(target: ScaleTarget, it: object) -> None:
    assert replicas_of(target).matches(it) is target.has(it)  # type: ignore[arg-type] # built as a container

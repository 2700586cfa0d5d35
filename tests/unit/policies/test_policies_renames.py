"""Whatever containers are called one after the other: what was done to one counts for it, and for its name."""

from __future__ import annotations

import json

from hypothesis import given, settings, strategies as st

from tests.support.numbers import drill, examples
from tests.support.questions import MOMENT, a_question
from watchtower_agent.model.decision import Decision, Target, TargetKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Act
from watchtower_agent.policies.guards.ledger import HOST, KEPT, Ledger, Scope, ScopeKind
from watchtower_agent.policies.guards.renames import Rename

NAMES = ("web", "shop", "tmp", "db")
moves = st.lists(
    st.tuples(
        st.sampled_from(["act", "rename", "rename", "rename", "recreate", "restart"]),
        st.integers(0, 1),
        st.sampled_from(NAMES),
    ),
    min_size=5,
    max_size=25,
)


def at(number: int) -> Instant:
    return Instant(wall=MOMENT.wall + number, monotonic=MOMENT.monotonic + number, boot="b")


class Story:
    """Two containers, and what a ledger makes of what happens to them."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.names = ["web", "db"]
        self.ids = ["id-0", "id-1"]
        self.done: dict[str, set[str]] = {}
        """Container id -> decisions that count for it: what was done to it, and what counted for its name before."""
        self.under: dict[str, set[str]] = {}
        """Name -> decisions carried out on whoever had it."""
        self.rows: list[Act] = []
        self.now = 0

    def move(self, kind: str, which: int, name: str) -> None:
        self.now += 1
        match kind:
            case "act":
                self.act(which)
            case "rename" if name not in self.names:
                self.rename(which, name)
            case "recreate":
                self.ids[which] = f"made-at-{self.now}"
                self.done[self.ids[which]] = self.counted(self.names[which])  # it goes on for its name
            case "restart":
                self.restart()

    def act(self, which: int) -> None:
        name, container = self.names[which], self.ids[which]
        target = Target(kind=TargetKind.CONTAINER, id=container, name=name)
        decision = _decision(f"d{self.now}", target)
        self.ledger.began(decision, at(self.now))
        self.rows.append(self.ledger.newest(HOST, 1, 0.0)[0])
        self.done.setdefault(container, set()).add(decision.id)
        self.under.setdefault(name, set()).add(decision.id)

    def rename(self, which: int, name: str) -> None:
        old, self.names[which] = self.names[which], name
        earlier = tuple(self.ledger.renames.of(old))
        renamed = Rename(container_id=self.ids[which], old=old, new=name, earlier=earlier)
        self.ledger.renamed(renamed, at(self.now), else_known=False)

    def restart(self) -> None:
        """Another ledger, of what the store has."""
        stored = {name: self.ledger.renames.stored(name) for name in self.ledger.renames.by}
        self.ledger = Ledger()
        self.ledger.renames.resume(json.loads(json.dumps(stored)), lambda moment: moment)
        self.ledger.resume(self.rows, {})

    def counted(self, name: str) -> set[str]:
        return {act.id for act in self.ledger.newest(Scope(ScopeKind.CONTAINER, name), 10_000, 0.0)}


def _decision(identity: str, target: Target) -> Decision:
    made = a_question().decision
    return Decision(
        **{field: getattr(made, field) for field in made.__slots__ if field not in {"id", "target"}},
        id=identity,
        target=target,
    )


@settings(max_examples=examples(drill(reduced=300, full=3000)))
@given(moves)
def test_what_was_done_to_a_container_and_under_its_name_counts(script: list[tuple[str, int, str]]) -> None:
    story = Story()
    for move in script:
        story.move(*move)
        for name, container in zip(story.names, story.ids, strict=True):
            assert story.done.get(container, set()) <= story.counted(name)
            assert story.under.get(name, set()) <= story.counted(name)
        everything = [act.id for act in story.ledger.newest(HOST, 10_000, 0.0)]
        assert len(everything) == len(set(everything)) == len(story.rows)


@settings(max_examples=examples(drill(reduced=300, full=3000)))
@given(moves)
def test_a_restart_of_the_agent_changes_nothing_of_what_counts(script: list[tuple[str, int, str]]) -> None:
    story = Story()
    for move in script:
        story.move(*move)
    before = {name: story.counted(name) for name in NAMES}
    story.restart()
    assert {name: story.counted(name) for name in NAMES} == before


@given(moves)
def test_after_a_day_nothing_is_left(script: list[tuple[str, int, str]]) -> None:
    story = Story()
    for move in script:
        story.move(*move)
    changed = story.ledger.renames.forget(at(story.now + int(KEPT) + 1), KEPT)
    assert story.ledger.renames.by == {}
    assert all(story.ledger.renames.stored(name) is None for name in changed)

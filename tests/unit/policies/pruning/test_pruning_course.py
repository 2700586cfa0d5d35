"""A pass from its begin to its end: what is next, when it is enough, and what is known of it after a crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.pruning import MIB, Host
from watchtower_agent.model.removal import Kind, Space
from watchtower_agent.policies.pruning.course import CALLS_PER_RECORD, IN_A_ROW, MOST_STORED, Course, Ending
from watchtower_agent.policies.pruning.interruption import restored, stored
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.plan import EXPIRES_AFTER, Plan
from watchtower_agent.policies.pruning.rules import Rules
from watchtower_agent.policies.pruning.step import Result

TOTAL = 1000 * MIB
NOW = Host().now


def space(free: int, free_inodes: int = 500) -> Space:
    return Space(total=TOTAL, free=free * MIB, inodes=1000, free_inodes=free_inodes)


def item(name: str, kind: Kind = Kind.IMAGE, size: int | None = 10 * MIB) -> Item:
    return Item(kind=kind, id=name, name=name, size=size, unused=1e6, asked=1e5)


def items(many: int, kind: Kind = Kind.IMAGE, size: int | None = 10 * MIB) -> tuple[Item, ...]:
    return tuple(item(f"{kind.value}-{number}", kind, size) for number in range(many))


def course(planned: Sequence[Item], free: int = 100, **rules: Any) -> Course:  # noqa: ANN401 - fields by name
    made = Plan(rules=Rules(**rules), items=tuple(planned), made=NOW, listed_at=NOW.wall)
    return Course.begun("plan-1", made, space(free), NOW)


def run(begun: Course, answer: Callable[[Course, Item], Course], most: int = 10_000) -> Course:
    """Carry it out, whatever the answer to each is."""
    while (first := begun.next(NOW)) is not None:
        most -= 1
        assert most >= 0, "it does not end"
        assert begun.plan is not None
        assert first in begun.plan.items
        begun = answer(begun.attempted(), first)
    return begun


def frees(megabytes: int, *, of_cache: bool = False) -> Callable[[Course, Item], Course]:
    def answer(before: Course, _: Item) -> Course:
        assert before.space is not None
        after = replace(before.space, free=before.space.free + megabytes * MIB)
        return before.deleted(megabytes * MIB if of_cache else None, after, NOW)

    return answer


def test_a_pass_deletes_in_order_until_the_mark_is_reached() -> None:
    ended = run(course(items(15), free=150, until=0.75), frees(25))
    assert ended.ending is Ending.REACHED
    assert [step.name for step in ended.deletions] == [f"image-{number}" for number in range(5)]
    assert ended.freed == 125 * MIB


def test_a_mark_holds_for_inodes_too() -> None:
    made = Plan(rules=Rules(until=0.75), items=items(3), made=NOW, listed_at=NOW.wall)
    begun = Course.begun("p", made, space(900, free_inodes=100), NOW)
    assert begun.next(NOW) is not None
    after = begun.attempted().deleted(None, space(900, free_inodes=251), NOW)
    assert after.ending is Ending.REACHED


def test_where_there_is_enough_nothing_is_deleted() -> None:
    assert course(items(3), free=251, until=0.75).ending is Ending.REACHED
    assert course(items(3), free=250, until=0.75).ending is None
    made = Plan(rules=Rules(), items=items(3), made=NOW, listed_at=NOW.wall)
    assert Course.begun("p", made, None, NOW, met=True).ending is Ending.REACHED
    ended = course(items(3)).attempted().deleted(None, space(110), NOW, met=True)
    assert (ended.ending, len(ended.deletions)) == (Ending.REACHED, 1)


def test_it_ends_where_nobody_knows_whether_there_is_enough() -> None:
    made = Plan(rules=Rules(), items=items(3), made=NOW, listed_at=NOW.wall)
    assert Course.begun("p", made, None, NOW, met=None).ending is Ending.UNMEASURED
    ended = course(items(3)).attempted().deleted(None, None, NOW, met=None)
    assert (ended.ending, len(ended.deletions)) == (Ending.UNMEASURED, 1)
    assert course(items(3)).attempted().deleted(None, None, NOW).ending is None


def test_without_a_mark_it_goes_through_the_plan() -> None:
    ended = run(course(items(7)), frees(10))
    assert (ended.ending, len(ended.deletions)) == (Ending.THROUGH, 7)
    assert course(()).ending is Ending.THROUGH


def test_twenty_objects_are_enough() -> None:
    ended = run(course(items(50)), frees(1))
    assert (ended.ending, len(ended.deletions)) == (Ending.MOST, 20)


def test_what_was_kept_does_not_count() -> None:
    kept = Kept(kind=Kind.IMAGE, id="i", name="i", protection=Protection.USED_AGAIN, by="front")

    def answer(before: Course, first: Item) -> Course:
        return before.kept(kept, NOW) if first.id.endswith(("0", "1")) else frees(1)(before, first)

    ended = run(course(items(50)), answer)
    assert (ended.ending, len(ended.deletions)) == (Ending.MOST, 20)
    told = next(step for step in ended.steps if step.result is Result.KEPT)
    assert (told.name, told.protection, told.reason) == ("image-0", Protection.USED_AGAIN, "front")


def test_three_deletes_in_a_row_that_free_nothing_end_it() -> None:
    ended = run(course(items(10)), frees(0))
    assert (ended.ending, len(ended.deletions)) == (Ending.INEFFECTIVE, IN_A_ROW)
    assert Ending.INEFFECTIVE.value == "prune_ineffective"


def test_one_that_frees_something_begins_the_count_anew() -> None:
    def answer(before: Course, first: Item) -> Course:
        return frees(1 if first.id == "image-2" else 0)(before, first)

    assert len(run(course(items(10)), answer).deletions) == 6


def test_space_that_others_take_meanwhile_counts_as_nothing_freed() -> None:
    ended = run(course(items(10), free=500), frees(-20))
    assert ended.ending is Ending.INEFFECTIVE
    assert ended.freed == 0


@pytest.mark.parametrize(
    ("size", "free_inodes", "ending"),
    [(10 * MIB, 500, Ending.INEFFECTIVE), (10 * MIB, 5, Ending.THROUGH), (None, 500, Ending.THROUGH)],
)
def test_a_few_inodes_and_bytes_help_where_inodes_are_short_or_nobody_knows_better(
    size: int | None, free_inodes: int, ending: Ending
) -> None:
    """Directories go, too, when somebody holds the files in them."""

    def answer(before: Course, _: Item) -> Course:
        assert before.space is not None
        after = replace(
            before.space, free_inodes=before.space.free_inodes + 8, free=before.space.free + len(before.waiting) * 1024
        )
        return before.deleted(None, after, NOW)

    begun = replace(course(items(7, size=size)), space=space(500, free_inodes))
    assert run(begun, answer).ending is ending


def test_what_is_compressed_frees_less_than_is_said() -> None:
    def answer(before: Course, _: Item) -> Course:
        assert before.space is not None
        return before.deleted(None, replace(before.space, free=before.space.free + MIB), NOW)

    assert run(course(items(7)), answer).ending is Ending.THROUGH


def test_what_has_no_bytes_is_not_expected_to_free_any() -> None:
    assert run(course(items(7, Kind.NETWORK, size=0)), frees(0)).ending is Ending.THROUGH
    assert run(course(items(7, Kind.IMAGE, size=None)), frees(0)).ending is Ending.INEFFECTIVE


def claimed(freed: int | None) -> Callable[[Course, Item], Course]:
    """The engine says what it has freed, and the file system has as much space as before."""
    return lambda before, _: before.deleted(freed, before.space, NOW)


@pytest.mark.parametrize("freed", [0, None, 10 * MIB])
def test_records_of_build_cache_that_free_nothing_end_it_whatever_the_engine_says(freed: int | None) -> None:
    ended = run(course((*items(50, Kind.CACHE), *items(2))), claimed(freed))
    assert (ended.ending, len(ended.deletions)) == (Ending.INEFFECTIVE, IN_A_ROW)
    assert ended.freed == 0


def test_small_records_count_together_once_they_should_be_measurable() -> None:
    """What others write in the same moment is more than a few KiB: it must not look as if nothing were freed."""
    small = items(199, Kind.CACHE, size=4096)
    assert run(course(small), claimed(4096)).ending is Ending.THROUGH
    half = items(199, Kind.CACHE, size=MIB // 2)
    ended = run(course(half), claimed(MIB // 2))
    assert (ended.ending, len(ended.deletions)) == (Ending.INEFFECTIVE, 2 * IN_A_ROW)

    def now_and_then(before: Course, first: Item) -> Course:
        assert before.space is not None
        freed = MIB if first.id.endswith("5") else 0
        return before.deleted(first.size, replace(before.space, free=before.space.free + freed), NOW)

    freed_later = items(40, Kind.CACHE, size=MIB // 10)
    assert run(course(freed_later), now_and_then).ending is Ending.THROUGH


def test_records_the_engine_says_nothing_was_freed_by_need_no_measure() -> None:
    made = Plan(rules=Rules(), items=items(9, Kind.CACHE, size=4096), made=NOW, listed_at=NOW.wall)
    ended = run(Course.begun("p", made, None, NOW), lambda before, _: before.deleted(0, None, NOW))
    assert (ended.ending, len(ended.deletions)) == (Ending.INEFFECTIVE, IN_A_ROW)
    ended = run(Course.begun("p", made, None, NOW), lambda before, _: before.deleted(4096, None, NOW))
    assert (ended.ending, ended.freed) == (Ending.THROUGH, 9 * 4096)


@pytest.mark.parametrize("kind", [Kind.CACHE, Kind.CONTAINER, Kind.NETWORK])
def test_what_has_no_bytes_neither_counts_nor_hides_what_frees_nothing(kind: Kind) -> None:
    assert run(course(items(15, kind, size=0)), claimed(0)).ending is Ending.THROUGH

    def answer(before: Course, first: Item) -> Course:
        return frees(0 if first.size else 1)(before, first)  # others free some as what has no bytes is deleted

    other = Kind.IMAGE if kind is Kind.NETWORK else kind
    planned = [item(f"{number}", *((kind, 0) if number % 2 else (other, 10 * MIB))) for number in range(12)]
    ended = run(course(planned), answer)
    assert (ended.ending, len(ended.deletions)) == (Ending.INEFFECTIVE, 2 * IN_A_ROW - 1)


def test_what_was_in_vain_counts_over_kinds() -> None:
    planned = (*items(2, Kind.CACHE), *items(1, Kind.CONTAINER, size=0), *items(5))
    ended = run(course(planned), frees(0, of_cache=True))
    assert [step.name for step in ended.deletions] == ["build_cache-0", "build_cache-1", "container-0", "image-0"]
    assert ended.ending is Ending.INEFFECTIVE


def test_what_the_engine_says_is_needed_is_kept_and_told() -> None:
    ended = run(course(items(2)), lambda before, _: before.left("container front was made of it", NOW))
    assert ended.ending is Ending.THROUGH
    assert [(step.result, step.protection, step.reason) for step in ended.steps] == [
        (Result.KEPT, Protection.ENGINE, "container front was made of it")
    ] * 2


def test_three_failures_in_a_row_end_it() -> None:
    def answer(before: Course, first: Item) -> Course:
        return frees(1)(before, first) if first.id == "image-2" else before.failed("it is in use", NOW)

    ended = run(course(items(10)), answer)
    assert ended.ending is Ending.FAILING
    assert [step.result for step in ended.steps] == [Result.FAILED] * 2 + [Result.DELETED] + [Result.FAILED] * 3
    assert ended.steps[0].reason == "it is in use"


def test_a_mark_that_can_not_be_measured_ends_it() -> None:
    made = Plan(rules=Rules(until=0.75), items=items(3), made=NOW, listed_at=NOW.wall)
    assert Course.begun("p", made, None, NOW).ending is Ending.UNMEASURED
    ended = course(items(3), until=0.75).attempted().deleted(None, None, NOW)
    assert (ended.ending, len(ended.deletions)) == (Ending.UNMEASURED, 1)


def test_without_a_mark_it_needs_no_measure_and_believes_the_engine() -> None:
    ended = run(course(items(5)), lambda before, _: before.deleted(7, None, NOW))
    assert (ended.ending, ended.freed) == (Ending.THROUGH, 28 + 7)


def test_an_old_plan_is_not_carried_out() -> None:
    begun = course(items(3))
    late = Host().wait(EXPIRES_AFTER).now
    assert begun.next(late) is None
    assert begun.expired(late).ending is Ending.EXPIRED
    assert begun.attempted().deleted(None, space(200), late).ending is Ending.EXPIRED


def test_it_can_be_stopped_and_tells_why() -> None:
    ended = course(items(3)).stopped("paused by an operator")
    assert (ended.ending, ended.reason, ended.next(NOW)) == (Ending.STOPPED, "paused by an operator", None)
    assert ended.stopped("again") == ended
    for wrong in (ended.attempted, lambda: ended.failed("x", NOW), lambda: ended.deleted(1, None, NOW)):
        with pytest.raises(ValueError, match="the pass is over: stopped"):
            wrong()


class Cache:
    """Build cache as the engine has it: it deletes leaves only, and tells of nobody whether it is one."""

    def __init__(self, parents: dict[str, str]) -> None:
        self.parents = dict(parents)
        self.calls = 0

    def answer(self, before: Course, first: Item) -> Course:
        if first.kind is not Kind.CACHE:
            return frees(1)(before, first)
        self.calls += 1
        if first.id in self.parents.values():
            return before.left("a later record builds upon it", NOW)
        del self.parents[first.id]
        return frees(1, of_cache=True)(before, first)


def test_the_build_cache_goes_leaves_first_in_rounds_and_then_the_rest_follows() -> None:
    chain = {f"r{number}": f"r{number - 1}" if number else "" for number in range(6)}
    cache = Cache(chain)
    planned = (*(item(name, Kind.CACHE) for name in chain), *items(2))
    ended = run(course(planned), cache.answer)
    assert ended.ending is Ending.THROUGH
    assert [step.name for step in ended.deletions] == ["r5", "r4", "r3", "r2", "r1", "r0", "image-0", "image-1"]
    assert cache.calls == 6 + 5 + 4 + 3 + 2 + 1


def test_records_that_others_build_upon_are_left_and_told() -> None:
    cache = Cache({"below": "", "other": "", "above": "below"})
    ended = run(course((item("below", Kind.CACHE), item("other", Kind.CACHE), *items(1))), cache.answer)
    assert cache.calls == 3
    assert {step.name: step.result for step in ended.steps} == {
        "other": Result.DELETED,
        "image-0": Result.DELETED,
        "below": Result.BUILT_UPON,
    }


def test_the_build_cache_has_its_own_bounds_and_frees_by_the_engines_account() -> None:
    planned = (*items(500, Kind.CACHE, size=MIB), *items(2))
    ended = run(course(planned), Cache({each.id: "" for each in planned}).answer)
    assert (ended.ending, len(ended.deletions)) == (Ending.THROUGH, 200 + 2)
    assert ended.freed == (200 + 2) * MIB
    chain = {f"r{number}": f"r{number - 1}" if number else "" for number in range(60)}
    cache = Cache(chain)
    ended = run(course((*(item(name, Kind.CACHE) for name in chain), *items(2)), most_cache=60), cache.answer)
    assert cache.calls == CALLS_PER_RECORD * 60
    assert [step.name for step in ended.deletions[-2:]] == ["image-0", "image-1"]


def test_after_a_crash_it_is_known_what_was_deleted_and_what_was_about_to_be() -> None:
    begun = course(items(9))
    for _ in range(3):
        begun = frees(5)(begun.attempted(), begun.waiting[0])
    known = json.loads(json.dumps(stored(begun.attempted())))
    after = restored(known)
    assert after is not None
    assert (after.id, after.ending, after.next(NOW)) == ("plan-1", Ending.INTERRUPTED, None)
    assert [step.name for step in after.deletions] == ["image-0", "image-1", "image-2"]
    assert after.freed == 15 * MIB
    assert after.attempt is not None
    assert (after.attempt.kind, after.attempt.id) == (Kind.IMAGE, "image-3")
    gone, there = after.settled(gone=True), after.settled(gone=False)
    assert [step.name for step in gone.deletions] == ["image-0", "image-1", "image-2", "image-3"]
    assert there.deletions == after.deletions
    assert there.steps[-1].result is Result.FAILED
    assert gone.settled(gone=True) == gone


def test_a_pass_that_had_ended_is_not_interrupted() -> None:
    after = restored(json.loads(json.dumps(stored(run(course(items(10)), frees(0))))))
    assert after is not None
    assert after.ending is Ending.INEFFECTIVE


@pytest.mark.parametrize(
    "known",
    [{}, {"id": 1}, {"id": "p"}, {"id": "p", "steps": "x"}, {"id": "p", "steps": [{}] * (MOST_STORED + 1)}],
)
def test_what_is_no_pass_is_none(known: dict[str, object]) -> None:
    assert restored(known) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_whatever_stands_in_a_step_is_read_or_left_out(junk: object) -> None:
    step = {"kind": "image", "id": "i", "name": "n", "result": "deleted", "freed": 3, "protection": None, "reason": ""}
    for key in step:
        after = restored({"id": "p", "steps": [{**step, key: junk}, junk, step], "attempt": junk, "ending": junk})
        assert after is not None
        assert after.steps[-1].freed == 3


@given(
    st.lists(st.sampled_from(list(Kind)), max_size=60),
    st.lists(
        st.tuples(st.sampled_from(["deleted", "kept", "failed", "left"]), st.integers(-3, 5)), min_size=1, max_size=40
    ),
    st.sampled_from([None, 0.5, 0.89]),
)
def test_every_pass_ends_deletes_only_what_was_planned_once_and_stays_within_its_bounds(
    kinds: list[Kind], answers: list[tuple[str, int]], until: float | None
) -> None:
    planned = [item(f"{number}", kind) for number, kind in enumerate(kinds)]
    asked: list[Item] = []

    def answer(before: Course, first: Item) -> Course:
        what, megabytes = answers[len(asked) % len(answers)]
        asked.append(first)
        if what == "kept":
            return before.kept(Kept(kind=first.kind, id=first.id, name="", protection=Protection.GONE), NOW)
        if what == "failed":
            return before.failed("no", NOW)
        if what == "left":
            return before.left("no", NOW)
        assert before.space is not None
        freed = max(megabytes, 0) * MIB if first.kind is Kind.CACHE else None
        return before.deleted(freed, replace(before.space, free=before.space.free + megabytes * MIB), NOW)

    ended = run(course(planned, most=5, until=until), answer, most=400)
    gone = [step.id for step in ended.deletions]
    assert ended.ending is not None
    assert ended.attempt is None
    assert len(gone) == len(set(gone))
    assert sum(step.kind is not Kind.CACHE for step in ended.deletions) <= 5
    told = [step.id for step in ended.steps]
    assert len(told) == len(set(told))
    if until is not None and ended.ending is Ending.REACHED:
        assert ended.space is not None
        assert ended.space.used < until

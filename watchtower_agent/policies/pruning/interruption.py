"""What a pass had done when the agent ended, for its next start. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.policies.pruning.course import MOST_STORED, Course, Ending
from watchtower_agent.policies.pruning.item import Item
from watchtower_agent.policies.pruning.step import Result, Step


def stored(course: Course) -> dict[str, object]:
    """A pass as a JSON object for the next run: what was deleted, and what is about to be."""
    steps = [step.stored() for step in course.steps if step.result in {Result.DELETED, Result.FAILED}]
    attempt = course.attempt
    return {
        "id": course.id,
        "steps": steps[-MOST_STORED:],
        "attempt": None if attempt is None else Step.of(attempt, Result.FAILED).stored(),
        "ending": None if course.ending is None else course.ending.value,
    }


def restored(known: Mapping[str, object]) -> Course | None:
    """The inverse of `stored`: a pass that is over. What is left of it needs a new plan.

    Its `attempt`, if any, has to be looked for: gone, it was deleted (`Course.settled`).

    Args:
        known: As it was written. None is given back for what is no such object.
    """
    identity, steps, ending = known.get("id"), known.get("steps"), known.get("ending")
    if not isinstance(identity, str) or not isinstance(steps, list) or len(steps) > MOST_STORED:
        return None
    attempt = Step.restored(known.get("attempt"))
    return Course(
        id=identity,
        steps=tuple(step for step in map(Step.restored, steps) if step is not None),
        attempt=None if attempt is None else _sought(attempt),
        ending=next((each for each in Ending if each.value == ending), Ending.INTERRUPTED),
    )


def _sought(step: Step) -> Item:
    return Item(kind=step.kind, id=step.id, name=step.name, size=None, unused=0.0, asked=0.0)

"""How the demo tells stories from events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.demo.story import Line, Narrator, Progress


def event(kind: str, second: float, correlation: str, **data: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
    return {
        "type": f"io.watchtower.{kind}.v1",
        "time": f"2026-09-21T14:13:{second:06.3f}Z",
        "correlationid": correlation,
        "severity": "warning",
        "data": {"container": {"name": "demo-web"}} | data,
    }


def told(*events: Mapping[str, Any]) -> list[Line]:
    narrator = Narrator()
    return [line for each in events for line in narrator.tell(each)]


SICK = event("container.health_status", 10, "a", health="unhealthy")
FIRING = event(
    "policy.firing",
    13.2,
    "b",
    reason="demo-web: unhealthy for 3.2 s (for: 3s)",
)
DECISION = event("policy.decision", 13.3, "b", verb="restart", policy="heal")
DIED = event("container.die", 13.5, "b", exit_code=0)
DONE = event("action.succeeded", 13.9, "b", verb="restart", duration=0.4)
WELL = event("container.health_status", 15.5, "c", health="healthy")


def test_a_story_has_one_number_from_its_first_sign_to_its_end() -> None:
    lines = told(SICK, FIRING, DECISION, DIED, DONE, WELL)

    assert [(line.stage, line.number) for line in lines] == [
        ("sign", 1),
        ("cause", 1),
        ("decision", 1),
        ("outcome", 1),
        ("after", 1),
    ]
    assert {line.correlation for line in lines if line.stage in {"cause", "decision", "outcome"}} == {"b"}


def test_causes_and_ends_show_figures() -> None:
    lines = told(SICK, FIRING, WELL)

    assert lines[1].words == "unhealthy for 3.2 s (for: 3s)"
    assert lines[2].words == "its health check says healthy, 5.5 s later"


def test_an_event_of_the_engine_is_told_once_something_follows_from_it() -> None:
    died = event("container.die", 5, "x", exit_code=3)
    assert told(died) == []

    cause, decision = told(died, event("policy.decision", 5, "x", verb="start", policy="retry"))

    assert (cause.stage, cause.words, cause.number) == ("cause", "ended by itself with exit code 3", 1)
    assert (decision.stage, decision.number) == ("decision", 1)


def test_other_containers_and_a_health_that_was_never_bad_are_no_stories() -> None:
    stranger = {**SICK, "data": {"container": {"name": "db"}, "health": "unhealthy"}}
    assert told(stranger, WELL, event("agent.started", 1, "z")) == []


def test_it_is_complete_when_every_trouble_was_answered_and_the_sick_one_is_well() -> None:
    progress = Progress()
    for name, verb in (("demo-web", "restart"), ("demo-job", "start"), ("demo-hog", "notify")):
        progress.note(Line(stage="outcome", who=name, words="", verb=verb, done=True))
    assert progress.missing == ["demo-busy"]
    progress.note(Line(stage="outcome", who="demo-busy", words="", verb="notify", done=True))
    assert not progress.complete
    progress.note(Line(stage="after", who="demo-web", words="", done=True))
    assert progress.complete

"""From events to stories: sign, cause, decision, action, outcome, and what came after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from scripts.demo.troubles import NAMES, TROUBLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is shown of one event.

    Attributes:
        stage: `sign`, `cause`, `decision`, `action`, `outcome`, `held` or `after`.
        who: The container.
        words: What happened, for people.
        number: Of the story, from 1 in the order in which they begin.
        correlation: The event's correlation id.
        verb: Of a decision and all that follows it.
        done: Whether it ends its story well.
    """

    stage: str
    who: str
    words: str
    number: int = 0
    correlation: str = ""
    verb: str = ""
    done: bool = False


class Narrator:
    """Turns CloudEvents into lines. An engine's event is told once something follows from it; most never are."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._causes: dict[str, Line] = {}
        self._numbers: dict[str, int] = {}
        self._begun = 0
        self._sick: dict[str, tuple[int, datetime]] = {}

    def tell(self, event: Mapping[str, Any]) -> Iterator[Line]:
        """The lines that one event adds.

        Args:
            event: As it came over MQTT.
        """
        kind, action = event["type"].removeprefix("io.watchtower.").split(".")[:2]
        data, correlation = event["data"], event.get("correlationid", "")
        who = (data.get("container") or data.get("target") or {}).get("name", "")
        if who not in NAMES:
            return
        if kind == "container" and action == "health_status":
            yield from self._health(who, data.get("health"), _moment(event["time"]), correlation)
        elif kind == "container":
            self._remember(action, who, data, correlation)
        elif (line := _of_the_agent(kind, action, who, event)) is not None:
            # What ends within a story, by the agent's own hand, is no cause of it.
            cause = self._causes.pop(correlation, None) if correlation not in self._numbers else None
            number = self._number(line)
            if cause is not None:
                yield replace(cause, number=number)
            yield replace(line, number=number)

    def _health(self, who: str, health: str | None, at: datetime, correlation: str) -> Iterator[Line]:
        """The first sign of a story, and its end; what the agent makes of it has a correlation id of its own."""
        if health == "unhealthy" and who not in self._sick:
            self._begun += 1
            self._sick[who] = (self._begun, at)
            words = "its health check says unhealthy"
            yield Line(stage="sign", who=who, words=words, number=self._begun, correlation=correlation)
        elif health == "healthy" and who in self._sick:
            number, since = self._sick.pop(who)
            words = f"its health check says healthy, {(at - since).total_seconds():.1f} s later"
            yield Line(stage="after", who=who, words=words, number=number, correlation=correlation, done=True)

    def _remember(self, action: str, who: str, data: Mapping[str, Any], correlation: str) -> None:
        words = {
            "die": f"ended by itself with exit code {data.get('exit_code')}",
            "oom": "killed by the kernel at its memory limit",
        }
        if action in words:
            self._causes[correlation] = Line(stage="cause", who=who, words=words[action], correlation=correlation)

    def _number(self, line: Line) -> int:
        """A story keeps its number; one that began with a sign has that of the sign."""
        if line.correlation not in self._numbers:
            if line.stage == "cause" and line.who in self._sick:
                self._numbers[line.correlation] = self._sick[line.who][0]
            else:
                self._begun += 1
                self._numbers[line.correlation] = self._begun
        return self._numbers[line.correlation]


class Progress:
    """Which of the troubles have been seen to."""

    def __init__(self) -> None:
        """None of them yet."""
        self.endings: dict[str, Line] = {}
        """Container -> the line that ended its story well."""
        self._healthy_again = False

    def note(self, line: Line) -> None:
        """Take one line into account."""
        self._healthy_again |= line.done and line.stage == "after"
        for trouble in TROUBLES:
            if line.done and line.who == trouble.name and line.verb == trouble.verb:
                self.endings.setdefault(trouble.name, line)

    @property
    def complete(self) -> bool:
        """Whether everything has happened that the demo is about."""
        return self._healthy_again and not self.missing

    @property
    def missing(self) -> list[str]:
        """Containers whose story has no good end yet."""
        return [trouble.name for trouble in TROUBLES if trouble.name not in self.endings]


def _of_the_agent(kind: str, action: str, who: str, event: Mapping[str, Any]) -> Line | None:
    """The line of an event about a policy or an action."""
    data = event["data"]
    verb, policy = data.get("verb", ""), data.get("policy", "")
    reason = data.get("reason", "").removeprefix(f"{who}: ")
    done = False
    match kind, action:
        case "policy", "firing":
            stage, words = "cause", reason
        case "policy", "decision":
            stage, words = "decision", f"{verb}, says policy {policy}"
        case "policy", "held":
            stage, words = "held", f"no {verb}: {reason}"
        case "policy", "resolved":
            stage, words = "after", reason
        case "action", "started":
            stage, words = "action", f"{verb} begins"
        case "action", "notify":
            stage, words, done = "outcome", f"{event['severity']} notification, policy {policy}", True
        case "action", "succeeded":
            stage, words, done = "outcome", f"{verb} succeeded in {data['duration']:.2f} s", True
        case "action", result:
            stage, words = "outcome", f"{verb} {result}: {reason}"
        case _:
            return None
    return Line(stage=stage, who=who, words=words, correlation=event.get("correlationid", ""), verb=verb, done=done)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

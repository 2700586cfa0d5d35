"""What is certain of a container once an action on it is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.conditions.tree import Label, Name, Windowed
from watchtower_agent.policies.linter.logic import Case, Part, Values
from watchtower_agent.policies.policy import Then

_STATUS: Final[Mapping[Verb, ContainerStatus]] = {
    Verb.RESTART: ContainerStatus.RUNNING,
    Verb.START: ContainerStatus.RUNNING,
    Verb.UNPAUSE: ContainerStatus.RUNNING,
    Verb.PAUSE: ContainerStatus.PAUSED,
    Verb.STOP: ContainerStatus.EXITED,
    Verb.KILL: ContainerStatus.EXITED,
}
_BEGIN_A_LIFE: Final = frozenset({Verb.RESTART, Verb.START})
_NEVER_CHANGE: Final = frozenset({"name", "image", "image.id"})
_STAY: Final = frozenset({"cpu.percent", "cpu.percent_of_limit"})
"""What a container does not use while it is paused."""
_OF_LATE: Final = frozenset({WindowFunction.AVG, WindowFunction.MAX, WindowFunction.MIN})
_ONLY_GROW: Final = frozenset({"age", "restarts", "restarts_by_agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Afterwards:
    """What is known of a container after an action.

    Attributes:
        values: Catalogue name -> what it is then.
        same: It is the container of which the condition was true before: what does not change is true of it still.
    """

    values: Mapping[str, Values] = field(default_factory=dict)
    same: bool = True

    def sure(self, part: Part) -> bool:
        """Whether the part is certainly true then."""
        reference = part.reference
        if isinstance(reference, Label):
            return self.same
        if isinstance(reference, Windowed):
            return self._in_time(reference, part)
        if not isinstance(reference, Name):
            return False
        if reference.name in _NEVER_CHANGE or (reference.name in _ONLY_GROW and part.sign in {">", ">="}):
            return self.same
        return self._known(reference.name, part)

    def _in_time(self, reference: Windowed, part: Part) -> bool:
        """What stays as it is is, after a while, also what it was of late."""
        window = reference.window
        return window.function in _OF_LATE and window.name in _STAY and self._known(window.name, part)

    def _known(self, name: str, part: Part) -> bool:
        known = self.values.get(name)
        return known is not None and not known.narrowed(Part(tree=part.tree, holds=not part.holds)).any

    def still(self, case: Case) -> bool:
        """Whether all of the case is certainly true then."""
        return all(self.sure(part) for part in case)


def after(then: Then, *, wait: float = 0.0, checked: bool = True, well: bool = False, same: bool = True) -> Afterwards:
    """What is certain once that is done.

    Args:
        then: What is done.
        wait: Seconds after a start of which that is asked: everything in between is looked at.
        checked: False for a container without a health check, of which its health is known, too.
        well: True for a container that its health check finds healthy then.
        same: As in `Afterwards`.
    """
    verb = then.verb
    if verb is None or verb not in _STATUS or not ends_or_begins(then):
        return Afterwards(same=same)
    values = {"status": Values(among=frozenset({str(_STATUS[verb])}))}
    if not checked:
        values["health"] = Values(among=frozenset({str(Health.NONE)}))
    elif well:
        values["health"] = Values(among=frozenset({str(Health.HEALTHY)}))
    if verb is Verb.PAUSE:
        values |= dict.fromkeys(_STAY, Values(low=0.0, high=0.0))
    if verb in _BEGIN_A_LIFE:
        values["uptime"] = Values(low=0.0, high=wait)
    return Afterwards(values=values, same=same)


def after_having_run(then: Then, seconds: float, *, well: bool = False) -> Afterwards:
    """What is certain of a container that has run for longer than so many seconds since a start by that action.

    Args:
        then: What is done: a restart or a start.
        seconds: For longer than these.
        well: True for a container that its health check finds healthy then.
    """
    begun = after(then, well=well)
    return replace(begun, values={**begun.values, "uptime": Values(low=seconds, above=True)})


def ends_or_begins(then: Then) -> bool:
    """Whether its status tells that it was done: a signal other than KILL may mean anything to a container."""
    return then.verb is not Verb.KILL or str(then.parameters.get("signal") or "KILL").upper() in _KILL


_KILL: Final = frozenset({"KILL", "SIGKILL", "9"})

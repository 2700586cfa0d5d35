"""The registry of verbs: one explicit table, from verb to what carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from watchtower_agent.actions.kill import kill
from watchtower_agent.actions.pause import pause, unpause
from watchtower_agent.actions.resize import resize
from watchtower_agent.actions.restart import restart
from watchtower_agent.actions.scale import scale
from watchtower_agent.actions.start import start
from watchtower_agent.actions.stop import stop
from watchtower_agent.model.decision import Decision, Number, Verb
from watchtower_agent.ports.engine import Engine

Action = Callable[[Engine, Decision], Awaitable[Mapping[str, Number] | None]]
"""Carries a decision out on the engine; may tell numbers for the outcome. Raises what the `Engine` port raises."""

ACTIONS: Mapping[Verb, Action] = {
    Verb.KILL: kill,
    Verb.PAUSE: pause,
    Verb.RESIZE: resize,
    Verb.RESTART: restart,
    Verb.SCALE: scale,
    Verb.START: start,
    Verb.STOP: stop,
    Verb.UNPAUSE: unpause,
}
"""Every verb that writes to the engine. `notify` does not: it is done once it is durable; nor does `restart_engine`,
which systemd is asked for."""

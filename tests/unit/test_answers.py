"""What makes an agent say that it is not well."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from watchtower_agent.parts import unwell
from watchtower_agent.state.engine_state import EngineState

BROKER = {"connected": True, "last_error": ""}


@pytest.mark.parametrize(
    ("engine", "mqtt", "store_error", "problems", "said"),
    [
        (EngineState(connected=True, responding=True), BROKER, "", 0, []),
        (EngineState(connected=True), None, "", 0, []),
        (EngineState(), None, "", 0, ["the engine is not connected: not found yet"]),
        (EngineState(last_error="gone"), None, "", 0, ["the engine is not connected: gone"]),
        (EngineState(connected=True, responding=False), BROKER, "", 0, ["the engine does not answer"]),
        (
            EngineState(connected=True),
            {"connected": False, "last_error": "refused"},
            "full",
            2,
            [
                "the broker is not connected: refused",
                "the store does not take anything: full",
                "the policy folder has 2 problems",
            ],
        ),
        (EngineState(connected=True), BROKER, "", 1, ["the policy folder has 1 problem"]),
    ],
)
def test_what_is_not_well(
    engine: EngineState, mqtt: Mapping[str, object] | None, store_error: str, problems: int, said: list[str]
) -> None:
    assert unwell(engine, mqtt, store_error, problems) == said

"""Writes the tables of the conditions' grammar: after each change of condition.lark, and with each new lark.

    .venv/bin/python scripts/grammar.py

A test says when that has to be done again; until then the agent makes them at each start.
"""

from __future__ import annotations

from pathlib import Path

from watchtower_agent.policies.conditions.grammar import GRAMMAR, TABLES, tables

FOLDER = Path(__file__).resolve().parents[1] / "watchtower_agent" / "policies" / "conditions"


def main() -> None:
    """Beside the grammar."""
    (FOLDER / TABLES).write_text(tables((FOLDER / GRAMMAR).read_text()))


if __name__ == "__main__":
    main()

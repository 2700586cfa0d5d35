"""The ledger: what was begun, and how it ended. Runs in the writer's thread, inside a transaction that it opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Act, Intent, Outcome, Result
from watchtower_agent.ports.store import LedgerRow
from watchtower_agent.storage.ledger_text import (
    decision_from,
    decision_text,
    is_verified,
    moment_from,
    moment_text,
    outcome_from,
    outcome_text,
)

LEDGER_KEPT = 10_000
"""Rows of actions, and as many of notifications."""
SHORT_ID = 12
"""Digits of a container's id that Docker shows, and by which people name it."""


class LedgerTable:
    """The ledger of one open file.

    Args:
        connection: Open, at the present schema.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def write(self, intents: Iterable[Intent], outcomes: Iterable[Outcome]) -> None:
        """Note what is begun and what has ended, and forget the oldest. Twice the same is once."""
        for intent in intents:
            self._write_intent(intent)
        notified = set()
        for outcome in outcomes:
            self._write_outcome(outcome)
            notified.add(outcome.decision.verb is Verb.NOTIFY)
        for told in notified:
            self._trim(told=told)

    def acts(self) -> Iterator[Act]:
        """What was done, oldest first."""
        rows = self._db.execute(
            """SELECT id, policy, target, target_id, verb, intent_at, coalesce(ended, begun), result, outcome
            FROM ledger WHERE (verb = 'notify') = 0 AND result IS NOT ? ORDER BY number""",
            (Result.ABANDONED,),
        )
        for decision_id, policy, target, target_id, verb, at, moment, result, outcome in rows:
            # A row of an older agent has the wall clock alone, and so it is counted by that.
            known = moment_from(moment) or Instant(wall=at, monotonic=0.0)
            yield Act(
                id=decision_id,
                policy=policy,
                target=target,
                target_id=target_id,
                verb=Verb(verb),
                at=known,
                helped=_helped(result, outcome),
            )

    def open_intents(self) -> list[Intent]:
        """Intents without an outcome, oldest first."""
        rows = self._db.execute(
            "SELECT decision, intent_at, started_at_before, begun FROM ledger WHERE result IS NULL ORDER BY number"
        )
        return [_intent(*row) for row in rows]

    def history(
        self, *, limit: int, policy: str | None, target: str | None, verb: Verb | None, result: Result | None
    ) -> list[LedgerRow]:
        """The newest rows, newest first; a target is given by name, by id or by as much of that as Docker shows."""
        rows = self._db.execute(
            """SELECT decision, intent_at, started_at_before, begun, result, outcome, ended FROM ledger
            WHERE (:policy IS NULL OR policy = :policy) AND (:target IS NULL OR :target IN (target, target_id)
                OR (length(:target) >= :short AND substr(target_id, 1, length(:target)) = :target))
            AND (:verb IS NULL OR verb = :verb) AND (:result IS NULL OR result = :result)
            ORDER BY number DESC LIMIT :limit""",
            {"policy": policy, "target": target, "short": SHORT_ID, "verb": verb, "result": result, "limit": limit},
        )
        answer = []
        for decision, at, before, begun, found, text, ended in rows:
            intent = _intent(decision, at, before, begun)
            outcome = None if found is None else outcome_from(intent.decision, found, text, ended)
            answer.append(LedgerRow(intent=intent, outcome=outcome))
        return answer

    def _write_intent(self, intent: Intent) -> None:
        decision = intent.decision
        self._db.execute(
            """INSERT INTO ledger (id, policy, target, target_id, verb, decision, intent_at, started_at_before, begun)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                *(decision.id, decision.policy, decision.target.name, decision.target.id, decision.verb),
                *(decision_text(decision), intent.at, intent.started_at_before, moment_text(intent.moment)),
            ),
        )

    def _write_outcome(self, outcome: Outcome) -> None:
        # What was never tried has no intent; its row begins and ends here.
        self._write_intent(Intent(decision=outcome.decision, at=outcome.started_at))
        self._db.execute(
            "UPDATE ledger SET result = ?, outcome = ?, ended = ? WHERE id = ?",
            (outcome.result, outcome_text(outcome), moment_text(outcome.moment), outcome.decision.id),
        )

    def _trim(self, *, told: bool) -> None:
        """Forget the oldest notifications, or actions. Once a commit: it has to count what is kept."""
        self._db.execute(
            """DELETE FROM ledger WHERE result IS NOT NULL AND (verb = 'notify') = :told AND number <=
            (SELECT number FROM ledger WHERE (verb = 'notify') = :told ORDER BY number DESC LIMIT 1 OFFSET :kept)""",
            {"told": told, "kept": LEDGER_KEPT},
        )


def _helped(result: str | None, outcome: str | None) -> bool | None:
    """Whether an action was of use; None while that is not known."""
    if result in {Result.FAILED, Result.INEFFECTIVE}:
        return False
    return True if outcome is not None and is_verified(outcome) else None


def _intent(decision_text_: str, at: float, started_at_before: float | None, begun: str | None) -> Intent:
    decision: Decision = decision_from(decision_text_)
    return Intent(decision=decision, at=at, started_at_before=started_at_before, moment=moment_from(begun))

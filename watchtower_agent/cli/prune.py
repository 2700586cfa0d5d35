"""`prune`: shows the plan of a policy, asks, has just that carried out, and follows it to its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from threading import Event, Thread, current_thread, main_thread
from typing import Any, Final

from rich.text import Text

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.bar import Bar
from watchtower_agent.cli.explained import show_result
from watchtower_agent.cli.layout import Line, fitted, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.planned import progress, show_plan
from watchtower_agent.cli.quantities import number, share, short_size
from watchtower_agent.cli.text import printable, since
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.values import dataclass
from watchtower_agent.serving.client import ControlClient

Json = Mapping[str, Any]

ANSWER_TIME: Final = 320.0
"""Seconds in which an answer must have come: an engine may take five minutes to tell what it keeps."""
_PAGE: Final = 250
"""Objects that are asked for at once."""
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at how far the pass is: of the build cache there is no event for each record."""
_MARKS: Final = {"pruned": ("✓", "green"), "prune_kept": ("·", "dim"), "prune_failed": ("✗", "red")}
_WELL: Final = frozenset({"through", "reached", "most"})
"""Ends of a pass that has done what it was to do."""
_REMEDIES: Final = {
    "paused": "let it go on with: watchtower-agent resume …; watchtower-agent status tells what is paused",
    "mode": "give the policy mode: enforce or approve, or the agent mode: enforce, to have it done",
}


@dataclass(slots=True)
class Done:
    """What came of it.

    Attributes:
        well: It is done, or there was nothing to do.
        told: The whole story for programs.
        agent_gone: The agent ended before it was through.
    """

    well: bool = False
    told: dict[str, object] = field(default_factory=dict)
    agent_gone: bool = False


class Prune:
    """One run of the command.

    Args:
        client: Asks the agent.
        page: Where to write for people; None for programs.
        policy: Its name; None for all that prune.
        every: List every object, however many there are.
    """

    def __init__(self, client: ControlClient, page: Page | None, policy: str | None, *, every: bool) -> None:
        self._client, self._page, self._policy, self._every = client, page, policy, every

    def plans(self) -> Json:
        """Show the plans, of just now; gives them whole, for programs."""
        with self._looking():
            answer = self._client.ask("prune", policy=self._policy, dry_run=True, limit=_PAGE)
        plans = listed(answer, "plans")
        if self._page is None or self._every:
            plans = [self._whole(plan) for plan in plans]
        if self._page is not None:
            for index, plan in enumerate(plans):
                if index:
                    self._page.write()
                show_plan(self._page, plan, answer.get("at"), every=self._every)
        return {**answer, "plans": plans}

    def run(self, *, ask: Callable[[str], str] | None) -> Done:
        """Show the plan, ask, and have it carried out.

        Args:
            ask: Asks the person; None: they need not be asked.
        """
        done = Done()
        while True:
            (plan,) = listed(self.plans(), "plans")
            done.told["plan"] = plan
            if not plan.get("objects") or plan.get("reached"):
                done.well = True
                return done
            if self._stands_still(plan) or not self._is_confirmed(plan, ask):
                return done
            with self._client.following() as events, _interrupted(events.stop) as interrupted:
                answer = self._client.ask("prune", policy=plan.get("policy"), plan=plan.get("plan"))
                done.told["result"] = answer
                if answer.get("result") != "over":
                    self._follow(events, answer, plan, done)
                    if interrupted.is_set() and done.agent_gone:
                        done.agent_gone = False
                        self._say(
                            "The agent goes on with it. How it ends: watchtower-agent history, or status", "yellow"
                        )
                    return done
            self._say(f"{answer.get('reason')}: nothing was deleted.", "yellow")
            if ask is None:
                return done
            self._say("A new one:")

    def _whole(self, plan: Json) -> Json:
        """The plan with all its objects."""
        items, keeps = list(listed(plan, "items")), list(listed(plan, "keeps"))
        asked = {"policy": plan.get("policy"), "plan": plan.get("plan"), "dry_run": True, "limit": _PAGE}
        while len(items) < (number(plan.get("objects")) or 0) or len(keeps) < (number(plan.get("kept")) or 0):
            offset = max(len(items), len(keeps))
            (page,) = listed(self._client.ask("prune", **asked, offset=offset), "plans")
            if not listed(page, "items") and not listed(page, "keeps"):
                break
            items += listed(page, "items")
            keeps += listed(page, "keeps")
        return {**plan, "items": items, "keeps": keeps}

    def _stands_still(self, plan: Json) -> bool:
        """Whether a guard will never let it pass: to ask a person for nothing is rude."""
        held = section(plan, "held")
        if not held.get("final"):
            return False
        self._remedy(held.get("guard"))
        return True

    def _is_confirmed(self, plan: Json, ask: Callable[[str], str] | None) -> bool:
        if ask is None:
            return True
        if self._page is not None:
            self._page.write()
        held = section(plan, "held").get("guard")
        question = "Ask people whether this may be deleted" if held == "mode" else "Delete this"
        question += " once it may be" if held not in {None, "mode"} else ""
        try:
            answer = ask(f"{question}? [y/N] ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
            self._say("")
        if answer.strip().lower() in {"y", "yes"}:
            return True
        self._say("Nothing was deleted.")
        return False

    # --- carried out --------------------------------------------------------------------------------------------------

    def _follow(self, events: Iterator[Json], answer: Json, plan: Json, done: Done) -> None:
        if answer.get("result") not in {"begun", "waits"} or answer.get("guard"):
            self._held(answer)
            return
        if answer.get("result") == "waits":
            self._say(f"It waits: {printable(answer.get('reason') or '')}.", "yellow")
        bar = None if self._page is None else Bar(self._page)
        told: list[Json] = []
        done.told["events"] = told
        with self._watched(bar, plan):
            self._until_over(events, answer, told, bar, done)

    def _until_over(self, events: Iterator[Json], answer: Json, told: list[Json], bar: Bar | None, done: Done) -> None:
        tried, objects = 0, max(1, int(number(section(done.told, "plan").get("objects")) or 0))
        for message in events:
            event = section(message, "event")
            kind, action = _kind_and_action(message)
            data = section(event, "data")
            if "missed" in message and (row := self._ended(answer)) is not None:
                self._over(row, bar, done)
                return
            if event.get("correlationid") != answer.get("correlation_id"):
                continue
            told.append(message)
            if kind == "policy" and action in _MARKS and bar is not None:
                tried = max(tried + 1, int(number(data.get("number")) or 0))  # the build cache has no event for each
                bar.above(self._fitted(_step(action, data)))
                bar.show(tried / objects, f"{tried:,} of {objects:,}{_used(data)}")
            elif kind == "policy" and action in {"held", "dropped"} and data.get("decision_id") == answer["decision"]:
                if bar is not None:
                    bar.end()
                self._say(f"It is not done: {printable(data.get('reason') or '')}", "yellow")
                return
            elif kind == "action" and action != "started":
                self._over(data, bar, done)
                return
        done.agent_gone = True
        if bar is not None:
            bar.end()

    def _ended(self, answer: Json) -> Json | None:
        """How it ended by the ledger: for who was too slow for its events. None: it has not."""
        rows = self._client.ask("history", limit=_PAGE, policy=answer.get("policy"))
        mine = (row for row in rows if row.get("id") == answer.get("decision") and row.get("result"))
        return next(mine, None)

    def _over(self, outcome: Json, bar: Bar | None, done: Done) -> None:
        if bar is not None:
            bar.end()
        numbers = section(outcome, "numbers")
        succeeded = outcome.get("result") == "succeeded" and numbers.get("ending") in _WELL
        done.well = succeeded and not numbers.get("failed")
        done.told["outcome"] = outcome
        if self._page is None:
            return
        counts = [f"{int(number(numbers.get(each)) or 0):,} {each}" for each in ("deleted", "kept", "failed")]
        head = (
            f"{printable(outcome.get('result') or '?')}: {', '.join(counts)}, {short_size(numbers.get('freed'))} freed"
        )
        self._page.write()
        self._page.write(words(head, "green" if done.well else "bold yellow"))
        self._page.paragraph(words("  "), text=printable(outcome.get("reason") or ""))

    def _held(self, answer: Json) -> None:
        """It does not begin now."""
        if self._page is None:
            return
        self._page.write()
        show_result(self._page, answer, answer.get("at"))
        approval, until = answer.get("approval"), since(answer.get("expires_at"), answer.get("at"))
        if approval:
            whose = printable(approval)
            text = f"have it done with: watchtower-agent approve {whose}; or not: watchtower-agent reject {whose}"
            self._page.paragraph(words("  "), text=text)
            return
        self._remedy(answer.get("guard"))
        if answer.get("result") in {"held", "waits"}:
            text = f"It is done by itself once it may be, until {until}; then it needs a new plan."
            self._page.paragraph(words("  "), text=text)

    def _remedy(self, guard: object) -> None:
        if self._page is not None and str(guard) in _REMEDIES:
            self._page.paragraph(words("  "), text=_REMEDIES[str(guard)])

    @contextmanager
    def _watched(self, bar: Bar | None, plan: Json) -> Iterator[None]:
        """Ask now and then how far it is, and draw that."""
        if bar is None or self._page is None or self._page.width is None:
            yield
            return
        over = Event()
        watching = Thread(target=self._watch, args=(bar, plan, over), name="prune-bar", daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join(timeout=5)
            bar.end()

    def _watch(self, bar: Bar, plan: Json, over: Event) -> None:
        bar.show(0.0, "the agent looks at the disk once more")
        while not over.wait(_LOOK_EVERY):
            try:
                answer = self._client.ask("explain", policy=plan.get("policy"), limit=1)
            except WatchtowerError:
                continue
            target = next(iter(listed(answer, "targets")), {})
            going = section(section(target, "prune"), "under_way")
            if going.get("plan") == plan.get("plan") and not over.is_set():
                bar.show(*progress(going))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        bar = None if self._page is None else Bar(self._page)
        if bar is None:
            yield
            return
        try:
            bar.show(0.0, "the engine is asked what it keeps: minutes, maybe")
            yield
        finally:
            bar.end()

    def _fitted(self, line: Line) -> Text:
        return fitted(line, None if self._page is None else self._page.width)

    def _say(self, text: str, style: str = "") -> None:
        if self._page is not None:
            self._page.paragraph(words(""), text=printable(text), style=style)


@contextmanager
def _interrupted(stop: Callable[[], None]) -> Iterator[Event]:
    """Inside, Ctrl-C stops what is waited for and breaks off nothing that is written; whether it came."""
    came = Event()
    if current_thread() is not main_thread():
        yield came
        return

    def handle(*_: object) -> None:
        came.set()
        stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _step(action: str, data: Json) -> Line:
    mark, style = _MARKS[action]
    return (words(f"  {mark} ", style), name(printable(data.get("reason") or action)))


def _used(data: Json) -> str:
    used = number(data.get("used"))
    return "" if used is None else f", {share(used)} used"


def _kind_and_action(message: Json) -> tuple[str, str]:
    kind, _, action = str(message.get("topic", "")).rpartition("/event/")[2].partition("/")
    return kind, action.partition("/")[0]

"""The commands. What they need is imported when they run: asking an agent must not load what running one takes."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Final

from watchtower_agent.cli.later import load_later
from watchtower_agent.cli.output import (
    complain,
    ensure_output,
    fail,
    failure,
    give_up_output,
    is_of_output,
    write,
    write_json,
)
from watchtower_agent.cli.text import counted, printable
from watchtower_agent.cli.usage import WrongUsageError, usage
from watchtower_agent.clock import SystemClock
from watchtower_agent.errors import SettingsError, WatchtowerError
from watchtower_agent.serving.client import ANSWER_TIME, ControlClient, NoAgentError

OK: Final = 0
PROBLEMS: Final = 1
USAGE: Final = 2
NO_AGENT: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code for the shell."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    ensure_output()
    try:
        code = _done(given)
        sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()
        return OK
    except OSError as error:
        if not is_of_output(error):
            raise
        give_up_output()
        complain(f"what was asked for can't be written to standard output: {error.strerror}")
        return PROBLEMS
    return code


def _done(given: list[str]) -> int:
    try:
        options = usage().parse_args(given)
    except WrongUsageError as error:
        # What was meant is not known; that JSON is wanted is.
        if "--json" not in takewhile(lambda each: each != "--", given):
            error.end()
        return fail(str(error), USAGE, as_json=True)
    try:
        return _COMMANDS[options.command](options)
    except NoAgentError as error:
        return fail(str(error), NO_AGENT, as_json=options.json)
    except WatchtowerError as error:
        return fail(str(error), PROBLEMS, as_json=options.json)


def _run(options: argparse.Namespace) -> int:
    _start_quickly()
    from watchtower_agent.settings import LoadedSettings, load_settings  # noqa: PLC0415 - see the module's first line

    overrides: dict[str, object] = dict(options.set)
    if options.socket is not None:
        overrides["control.socket"] = str(options.socket)
    if options.json:
        overrides["log.format"] = "json"

    def read() -> LoadedSettings:
        return load_settings(options.config, overrides)

    loaded = read()

    from watchtower_agent.agent import run  # noqa: PLC0415 - same; and a wrong configuration is told at once
    from watchtower_agent.logs import configure_logs  # noqa: PLC0415 - same

    configure_logs(loaded.settings.log.level, loaded.settings.log.format)
    return run(loaded, read)


def _start_quickly() -> None:
    """Leave out what only costs time and memory: a fifth of what it takes to load the agent."""
    # Nothing that an import makes is garbage. The agent turns it on again once everything is loaded.
    gc.disable()
    # structlog would load rich, with a syntax highlighter, for stacks in colour: the agent's log writes its own.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # what `import` takes for "there is none"
    # requests would load the tables of all the world's encodings, 3 MiB, to guess that of a text; what
    # the engine says is JSON. Since 2.32 it does without, and warns.
    sys.modules.setdefault("charset_normalizer", None)  # type: ignore[arg-type] # as above
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
    load_later()
    # pydantic would read the metadata of every installed package in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _check(options: argparse.Namespace) -> int:
    from watchtower_agent.cli.check import check  # noqa: PLC0415 - see the module's first line

    result = check(options.config, options.folder)
    doubtful = options.strict and bool(result.warnings)
    if options.json:
        write_json(result.as_json() | {"ok": not result.problems and not doubtful})
    else:
        for problem in (*result.problems, *result.warnings):
            write(printable(problem.text))
        if result.problems:
            count = len(result.problems)
            gone = "until they are gone" if count > 1 else "until it is gone"
            complain(f"{counted(count, 'problem')}; nothing of this is in force {gone}")
        else:
            write(result.summary())
            if doubtful:
                complain(f"{counted(len(result.warnings), 'warning')}, and --strict was given")
    return PROBLEMS if result.problems or doubtful else OK


def _schema(options: argparse.Namespace) -> int:  # noqa: ARG001 - with and without --json it is JSON
    from watchtower_agent.policies.files.schema import policy_schema  # noqa: PLC0415 - see the module's first line

    write_json(policy_schema())
    return OK


def _client(options: argparse.Namespace, *, answer_time: float = ANSWER_TIME) -> ControlClient:
    if options.socket is not None:
        return ControlClient(options.socket, answer_time=answer_time)
    from watchtower_agent.settings import load_settings  # noqa: PLC0415 - see the module's first line

    try:
        return ControlClient(load_settings(options.config).settings.control.socket, answer_time=answer_time)
    except SettingsError as error:
        raise SettingsError(f"{error}\nWith --socket PATH the agent can be asked without its configuration.") from None


def _status(options: argparse.Namespace) -> int:
    status = _client(options).ask("status")
    code = OK if options.alive or status.get("well", True) else PROBLEMS
    if options.json:
        write_json(status)
        return code
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.views import show_status  # noqa: PLC0415 - see the module's first line

    show_status(Page(sys.stdout), status, SystemClock().now().wall)
    return code


def _history(options: argparse.Namespace) -> int:
    rows = _client(options).ask("history", limit=options.limit, policy=options.policy, target=options.target)
    if options.json:
        write_json(rows)
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.views import show_history  # noqa: PLC0415 - see the module's first line

    show_history(Page(sys.stdout), rows)
    return OK


def _pause(options: argparse.Namespace) -> int:
    return _paused(options, "pause", {"for": options.length, "reason": options.reason})


def _resume(options: argparse.Namespace) -> int:
    return _paused(options, "resume", {})


def _paused(options: argparse.Namespace, command: str, more: Mapping[str, object]) -> int:
    answer = _client(options).ask(command, policy=options.policy, target=options.target, **more)
    if options.json:
        write_json(answer)
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.pauses import show_answer  # noqa: PLC0415 - see the module's first line

    show_answer(Page(sys.stdout), answer)
    return OK


def _explain(options: argparse.Namespace) -> int:
    return _explained(options, "explain", {})


def _trigger(options: argparse.Namespace) -> int:
    if options.dry_run:
        return _explained(options, "trigger", {"dry_run": True})
    answer = _client(options).ask("trigger", policy=options.policy, target=options.target)
    if options.json:
        write_json(answer)
    else:
        from watchtower_agent.cli.explained import show_triggered  # noqa: PLC0415 - see the module's first line
        from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line

        show_triggered(Page(sys.stdout), answer)
    return OK if answer.get("set_off") else PROBLEMS


def _revert(options: argparse.Namespace) -> int:
    answer = _client(options).ask("revert", container=options.container, policy=options.policy)
    if options.json:
        write_json(answer)
    else:
        from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
        from watchtower_agent.cli.reverted import show_reverted  # noqa: PLC0415 - see the module's first line

        show_reverted(Page(sys.stdout), answer)
    return OK if answer.get("set_off") else PROBLEMS


def _prune(options: argparse.Namespace) -> int:
    on_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    if options.policy is None and not options.plan:
        text = "prune needs a policy, as in: watchtower-agent prune POLICY; prune --plan shows the plans of all"
        return fail(text, USAGE, as_json=options.json)
    if not options.plan and not options.yes and (options.json or not on_terminal):
        text = "prune asks before it deletes, on a terminal only: look with --plan, or give --yes"
        return fail(text, USAGE, as_json=options.json)
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.prune import ANSWER_TIME, Prune  # noqa: PLC0415 - see the module's first line

    client = _client(options, answer_time=ANSWER_TIME)
    asks = Prune(client, None if options.json else Page(sys.stdout), options.policy, every=options.all)
    try:
        if options.plan:
            plans = asks.plans()
            if options.json:
                write_json(plans)
            return OK
        done = asks.run(ask=None if options.yes else input)
    except KeyboardInterrupt:  # before anything was asked for: then it is no exception any more
        return fail("ended before anything was deleted", PROBLEMS, as_json=options.json)
    gone = "The agent stopped. What it was doing is found out by its next run: watchtower-agent history"
    if options.json:
        write_json(done.told | (failure(gone) if done.agent_gone else {}))
    elif done.agent_gone:
        complain(gone)
    return NO_AGENT if done.agent_gone else OK if done.well else PROBLEMS


def _explained(options: argparse.Namespace, command: str, more: Mapping[str, object]) -> int:
    from watchtower_agent.cli.explained import MOST_SHOWN, show_explained, whole  # noqa: PLC0415 - see the module's first line

    client, asked = _client(options), {"policy": options.policy, "target": options.target, **more}
    if options.json:
        write_json(whole(client, command, **asked))
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line

    answer = client.ask(command, **asked, limit=MOST_SHOWN)
    show_explained(Page(sys.stdout), answer, one=options.target is not None)
    return OK


def _approve(options: argparse.Namespace) -> int:
    answer = _client(options).ask(options.command, approval=options.approval, reason=options.reason)
    if options.json:
        write_json(answer)
        return OK
    from watchtower_agent.cli.approvals import show_answer  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line

    show_answer(Page(sys.stdout), answer, SystemClock().now().wall)
    return OK


def _top(options: argparse.Namespace) -> int:
    on_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    if not options.once and (options.json or not on_terminal):
        text = "top needs a terminal; one frame for a program or a file: watchtower-agent top --once [--json]"
        return fail(text, USAGE, as_json=options.json)
    client = _client(options)
    if options.json:
        from watchtower_agent.cli.top import whole  # noqa: PLC0415 - see the module's first line

        write_json(whole(client, options.sort, backwards=options.reverse))
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.screen import Screen  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.top import LARGEST_PAGE, once, watch, whole  # noqa: PLC0415 - see the module's first line

    if options.once:
        page = Page(sys.stdout)
        for line in once(whole(client, options.sort, backwards=options.reverse), page.width):
            page.put(line)
        return OK
    import shutil  # noqa: PLC0415 - see the module's first line: it loads every kind of compression

    limit = min(LARGEST_PAGE, shutil.get_terminal_size().lines)
    first = client.ask("top", sort=options.sort, backwards=options.reverse, limit=limit)
    with Screen(sys.stdin, sys.stdout) as screen:
        watch(client, screen, first, sort=options.sort, backwards=options.reverse, interval=options.interval)
    return OK


def _metrics(options: argparse.Namespace) -> int:
    if options.of is not None or options.last is not None:
        return _past(options)
    from watchtower_agent.cli.metrics import as_json, show_metrics  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line

    why_none = ""
    found: Mapping[str, object] = {}
    try:
        found = _client(options).ask("metrics", container=options.about)
    except (NoAgentError, SettingsError) as error:
        if options.about is not None:
            raise
        why_none = str(error).splitlines()[0]
    if options.json:
        write_json(as_json(found, why_none))
        return OK
    show_metrics(Page(sys.stdout), found)
    if why_none:
        complain(f"no present values: {why_none}")
    return OK


def _past(options: argparse.Namespace) -> int:
    if options.about is None:
        text = "metrics --of and --last need a name, as in: watchtower-agent metrics cpu.percent --of web --last 1h"
        return fail(text, USAGE, as_json=options.json)
    last = {} if options.last is None else {"last": options.last}
    found = _client(options).ask("past", name=options.about, container=options.of, **last)
    if options.json:
        write_json(found, indent=None)
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.past import show_past  # noqa: PLC0415 - see the module's first line

    show_past(Page(sys.stdout), found, options.last)
    return OK


def _events(options: argparse.Namespace) -> int:
    import shutil  # noqa: PLC0415 - see the module's first line: it loads every kind of compression

    from watchtower_agent.cli.lines import event_line, missed_line  # noqa: PLC0415 - see the module's first line

    on_terminal = sys.stdout.isatty()
    try:
        for message in _client(options).follow():
            if options.json:
                write_json(message, indent=None)
                continue
            width = shutil.get_terminal_size().columns if on_terminal else None
            event = message.get("event")
            if isinstance(event, Mapping):
                colours = on_terminal and "NO_COLOR" not in os.environ
                write(event_line(str(message.get("topic", "")), event, width=width, colours=colours))
            elif "missed" in message:
                write(missed_line(message["missed"]))
    except KeyboardInterrupt:
        return OK
    return fail("The agent stopped.", NO_AGENT, as_json=options.json)


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "run": _run,
    "check": _check,
    "schema": _schema,
    "status": _status,
    "top": _top,
    "explain": _explain,
    "trigger": _trigger,
    "revert": _revert,
    "prune": _prune,
    "metrics": _metrics,
    "pause": _pause,
    "resume": _resume,
    "approve": _approve,
    "reject": _approve,
    "events": _events,
    "history": _history,
}

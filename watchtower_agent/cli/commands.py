"""The commands. What they need is imported when they run: asking an agent must not load what running one takes."""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from watchtower_agent import __version__
from watchtower_agent.cli import argument_types
from watchtower_agent.cli.text import counted, printable
from watchtower_agent.clock import SystemClock
from watchtower_agent.errors import SettingsError, WatchtowerError
from watchtower_agent.serving.client import ControlClient, NoAgentError

OK: Final = 0
PROBLEMS: Final = 1
USAGE: Final = 2
NO_AGENT: Final = 3

_SORTS: Final = ("policy", "cpu", "memory", "pressure", "restarts", "uptime", "network", "io", "name")

_EPILOG = """\
exit codes: 0 all is well, 1 something is wrong (the text says what), 2 wrong usage, 3 no agent answers

watchtower-agent check                    tell every mistake in the configuration
watchtower-agent run                      run the agent in the foreground
watchtower-agent events --follow          watch what it sees and does
watchtower-agent top                      watch containers, and how close each policy is to firing
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code for the shell."""
    parser = _parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except NoAgentError as error:
        _complain(str(error))
        return NO_AGENT
    except WatchtowerError as error:
        _complain(str(error))
        return PROBLEMS
    except BrokenPipeError:
        # Whoever read the output has enough (`| head`). Python's own flush at the end must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _complain(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"watchtower-agent: {printable(line)}\n")


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _write_json(value: object, *, indent: int | None = 2) -> None:
    # ASCII only: nothing in it moves the cursor.
    _write(json.dumps(value, indent=indent, default=str))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchtower-agent",
        description="Event-driven engine monitor and healing agent for Docker hosts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"watchtower-agent {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: /etc/watchtower-agent/agent.yaml, else config/agent.yaml)",
    )
    common.add_argument(
        "--socket", type=Path, metavar="PATH", help="the agent's control socket (default: as configured)"
    )
    common.add_argument("--json", action="store_true", help="JSON instead of text")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], sentence: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=sentence,
            description=f"{sentence[0].upper()}{sentence[1:]}.",
            parents=[common],
            allow_abbrev=False,
        )
        made.set_defaults(command=run)
        return made

    made = command("run", _run, "run the agent in the foreground")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        type=argument_types.assignment,
        help="a setting, as mqtt.url=null",
    )
    made = command("check", _check, "check the configuration and the policies, and tell every mistake")
    made.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="a policy folder, or one file of it (default: as configured)",
    )
    made.add_argument("--strict", action="store_true", help="exit 1 for warnings, too: for a pipeline that deploys")
    command("schema", _schema, "print the JSON Schema of policy files, by which editors complete and check them")
    made = command("status", _status, "show how the running agent is doing")
    made.add_argument(
        "--alive",
        action="store_true",
        help="exit 0 if the agent answers, whatever it says of engine, broker, store and policies",
    )
    made = command("top", _top, "watch containers, and how close the policies are to firing")
    made.add_argument("--once", action="store_true", help="print one frame with every container")
    made.add_argument("--sort", choices=_SORTS, default="policy", help="the order (default: policy, the closest first)")
    made.add_argument("--reverse", action="store_true", help="the other way round")
    made.add_argument(
        "--interval",
        type=argument_types.interval,
        default=1.0,
        metavar="SECONDS",
        help="between two looks (default: 1)",
    )
    made = command("metrics", _metrics, "list every name that a policy can use with present values, or draw one's past")
    made.add_argument(
        "about",
        nargs="?",
        metavar="CONTAINER|NAME",
        help="values of this container (default: the range over all); with --of or --last the name to draw",
    )
    made.add_argument("--of", metavar="CONTAINER", help="draw the past of NAME of this container")
    made.add_argument(
        "--last",
        type=argument_types.last,
        metavar="DURATION",
        help="draw the last 10m or 1h of NAME (default: all that is kept)",
    )
    made = command("pause", _pause, "keep the agent, a policy, or all policies about a container still for a while")
    _add_paused(made)
    made.add_argument(
        "--for",
        dest="length",
        type=argument_types.pause_for,
        default=3600,
        metavar="DURATION",
        help="how long (default: 1h)",
    )
    made.add_argument(
        "--reason", type=argument_types.reason, default="", metavar="TEXT", help="why, for others to read"
    )
    made = command("resume", _resume, "end a pause before its time")
    _add_paused(made)
    made = command("events", _events, "show what the running agent sees and does, as it happens")
    made.add_argument("--follow", action="store_true", required=True, help="show events from now on, until Ctrl-C")
    made = command("history", _history, "show past actions with cause and outcome, newest first")
    made.add_argument("--limit", type=argument_types.limit, default=50, metavar="N", help="how many (default: 50)")
    made.add_argument("--policy", metavar="NAME", help="only those of a policy")
    made.add_argument("--target", metavar="NAME", help="only those on a container")
    return parser


def _add_paused(made: argparse.ArgumentParser) -> None:
    """What `pause` and `resume` are about; exactly one of them."""
    about = made.add_mutually_exclusive_group(required=True)
    about.add_argument("policy", nargs="?", metavar="POLICY", help="this policy")
    about.add_argument("--all", action="store_true", help="the agent: it does nothing and notifies nobody")
    about.add_argument("--target", metavar="NAME", help="all policies about this container")


def _run(options: argparse.Namespace) -> int:
    _start_quickly()
    from watchtower_agent.settings import load_settings  # noqa: PLC0415 - see the module's first line

    overrides: dict[str, object] = dict(options.set)
    if options.socket is not None:
        overrides["control.socket"] = str(options.socket)
    if options.json:
        overrides["log.format"] = "json"
    loaded = load_settings(options.config, overrides)

    from watchtower_agent.agent import run  # noqa: PLC0415 - same; and a wrong configuration is told at once
    from watchtower_agent.logs import configure_logs  # noqa: PLC0415 - same

    configure_logs(loaded.settings.log.level, loaded.settings.log.format)
    return run(loaded)


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
    # pydantic would read the metadata of every installed package in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _check(options: argparse.Namespace) -> int:
    from watchtower_agent.cli.check import check  # noqa: PLC0415 - see the module's first line

    result = check(options.config, options.folder)
    doubtful = options.strict and bool(result.warnings)
    if options.json:
        _write_json(result.as_json() | {"ok": not result.problems and not doubtful})
    else:
        for problem in (*result.problems, *result.warnings):
            _write(printable(problem.text))
        if result.problems:
            count = len(result.problems)
            gone = "until they are gone" if count > 1 else "until it is gone"
            _complain(f"{counted(count, 'problem')}; nothing of this is in force {gone}")
        else:
            _write(result.summary())
            if doubtful:
                _complain(f"{counted(len(result.warnings), 'warning')}, and --strict was given")
    return PROBLEMS if result.problems or doubtful else OK


def _schema(options: argparse.Namespace) -> int:  # noqa: ARG001 - with and without --json it is JSON
    from watchtower_agent.policies.files.schema import policy_schema  # noqa: PLC0415 - see the module's first line

    _write_json(policy_schema())
    return OK


def _client(options: argparse.Namespace) -> ControlClient:
    if options.socket is not None:
        return ControlClient(options.socket)
    from watchtower_agent.settings import load_settings  # noqa: PLC0415 - see the module's first line

    try:
        return ControlClient(load_settings(options.config).settings.control.socket)
    except SettingsError as error:
        raise SettingsError(f"{error}\nWith --socket PATH the agent can be asked without its configuration.") from None


def _status(options: argparse.Namespace) -> int:
    status = _client(options).ask("status")
    code = OK if options.alive or status.get("well", True) else PROBLEMS
    if options.json:
        _write_json(status)
        return code
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.views import show_status  # noqa: PLC0415 - see the module's first line

    show_status(Page(sys.stdout), status, SystemClock().now().wall)
    return code


def _history(options: argparse.Namespace) -> int:
    rows = _client(options).ask("history", limit=options.limit, policy=options.policy, target=options.target)
    if options.json:
        _write_json(rows)
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
        _write_json(answer)
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.pauses import show_answer  # noqa: PLC0415 - see the module's first line

    show_answer(Page(sys.stdout), answer)
    return OK


def _top(options: argparse.Namespace) -> int:
    on_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    if not options.once and (options.json or not on_terminal):
        _complain("top needs a terminal; one frame for a program or a file: watchtower-agent top --once [--json]")
        return USAGE
    client = _client(options)
    if options.json:
        from watchtower_agent.cli.top import whole  # noqa: PLC0415 - see the module's first line

        _write_json(whole(client, options.sort, backwards=options.reverse))
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.screen import Screen  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.top import LARGEST_PAGE, once, watch, whole  # noqa: PLC0415 - see the module's first line

    if options.once:
        page = Page(sys.stdout)
        for line in once(whole(client, options.sort, backwards=options.reverse), page.width):
            page.put(line)
        return OK
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
        _write_json(as_json(found, why_none))
        return OK
    show_metrics(Page(sys.stdout), found)
    if why_none:
        _complain(f"no present values: {why_none}")
    return OK


def _past(options: argparse.Namespace) -> int:
    if options.about is None:
        _complain("metrics --of and --last need a name, as in: watchtower-agent metrics cpu.percent --of web --last 1h")
        return USAGE
    last = {} if options.last is None else {"last": options.last}
    found = _client(options).ask("past", name=options.about, container=options.of, **last)
    if options.json:
        _write_json(found, indent=None)
        return OK
    from watchtower_agent.cli.page import Page  # noqa: PLC0415 - see the module's first line
    from watchtower_agent.cli.past import show_past  # noqa: PLC0415 - see the module's first line

    show_past(Page(sys.stdout), found, options.last)
    return OK


def _events(options: argparse.Namespace) -> int:
    from watchtower_agent.cli.lines import event_line, missed_line  # noqa: PLC0415 - see the module's first line

    on_terminal = sys.stdout.isatty()
    try:
        for message in _client(options).follow():
            if options.json:
                _write_json(message, indent=None)
                continue
            width = shutil.get_terminal_size().columns if on_terminal else None
            event = message.get("event")
            if isinstance(event, Mapping):
                colours = on_terminal and "NO_COLOR" not in os.environ
                _write(event_line(str(message.get("topic", "")), event, width=width, colours=colours))
            elif "missed" in message:
                _write(missed_line(message["missed"]))
    except KeyboardInterrupt:
        return OK
    _complain("The agent stopped.")
    return NO_AGENT

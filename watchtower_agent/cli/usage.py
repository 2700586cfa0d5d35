"""How the command line is written: every command with its options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final, NoReturn

from watchtower_agent.cli import argument_types
from watchtower_agent.model.version import VERSION

_SORTS: Final = ("policy", "cpu", "memory", "pressure", "restarts", "uptime", "network", "io", "name")

_EPILOG = """\
exit codes: 0 all is well, 1 something is wrong (the text says what), 2 wrong usage, 3 no agent answers

watchtower-agent check                    tell every mistake in the configuration
watchtower-agent run                      run the agent in the foreground
watchtower-agent events --follow          watch what it sees and does
watchtower-agent top                      watch containers, and how close each policy is to firing
watchtower-agent prune --plan             see what policies would delete from the engine's disk
watchtower-agent explain POLICY           see what it would do next, and which guards hold it
"""


class WrongUsageError(Exception):
    """The command line is none."""

    def __init__(self, parser: _Parser, message: str) -> None:
        super().__init__(message)
        self._parser = parser

    def end(self) -> NoReturn:
        """Tell it, with what would be right, and exit."""
        self._parser.end(str(self))


class _Parser(argparse.ArgumentParser):
    """Leaves to the caller how a mistake is told."""

    def error(self, message: str) -> NoReturn:
        raise WrongUsageError(self, message)

    def end(self, message: str) -> NoReturn:
        super().error(message)


def usage() -> argparse.ArgumentParser:
    """The parser of all commands; `command` in what it finds is the command's name. It raises WrongUsageError."""
    parser = _Parser(
        prog="watchtower-agent",
        description="Event-driven engine monitor and healing agent for Docker hosts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"watchtower-agent {VERSION}")
    common = _Parser(add_help=False)
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

    def command(name: str, sentence: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=sentence,
            description=f"{sentence[0].upper()}{sentence[1:]}.",
            parents=[common],
            allow_abbrev=False,
        )
        made.set_defaults(command=name)
        return made

    made = command("run", "run the agent in the foreground")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        type=argument_types.assignment,
        help="a setting, as mqtt.url=null",
    )
    made = command("check", "check the configuration and the policies, and tell every mistake")
    made.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="a policy folder, or one file of it (default: as configured)",
    )
    made.add_argument("--strict", action="store_true", help="exit 1 for warnings, too: for a pipeline that deploys")
    command("schema", "print the JSON Schema of policy files, by which editors complete and check them")
    made = command("status", "show how the running agent is doing")
    made.add_argument(
        "--alive",
        action="store_true",
        help="exit 0 if the agent answers, whatever it says of engine, broker, store and policies",
    )
    made = command("top", "watch containers, and how close the policies are to firing")
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
    sentence = "show why a policy does, or does not, do something: condition, guards, what comes next"
    _add_policy_and_target(command("explain", sentence))
    made = _add_policy_and_target(
        command("trigger", "set a policy off by hand, past its trigger and through all guards")
    )
    made.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    made = command("revert", "give a container the limits back that it had before the agent changed them")
    made.add_argument("container", metavar="CONTAINER", help="by name or begin of its id")
    made.add_argument("--policy", metavar="NAME", help="the policy that changed them, where several did")
    _add_prune(
        command("prune", "show what a policy would delete from the engine's disk, ask, and have just that deleted")
    )
    _add_metrics(command("metrics", "list every name that a policy can use with present values, or draw one's past"))
    made = command("pause", "keep the agent, a policy, or all policies about a container still for a while")
    _add_paused(made)
    made.add_argument(
        "--for",
        dest="length",
        type=argument_types.pause_for,
        default=3600,
        metavar="DURATION",
        help="how long (default: 1h)",
    )
    _add_reason(made)
    made = command("resume", "end a pause before its time")
    _add_paused(made)
    made = command("approve", "have done what a policy asks people about, or list what waits for that")
    made.add_argument("approval", nargs="?", metavar="ID", help="of the approval (default: list those that wait)")
    _add_reason(made)
    made = command("reject", "have it not done")
    made.add_argument("approval", metavar="ID", help="of the approval")
    _add_reason(made)
    _add_events(command("events", "show what the running agent sees and does, as it happens"))
    made = command("history", "show past actions with cause and outcome, newest first")
    made.add_argument("--limit", type=argument_types.limit, default=50, metavar="N", help="how many (default: 50)")
    made.add_argument("--policy", metavar="NAME", help="only those of a policy")
    made.add_argument("--target", metavar="NAME", help="only those on a container")
    return parser


def _add_events(made: argparse.ArgumentParser) -> None:
    """What of `events` there is: so far only what comes."""
    made.add_argument("--follow", action="store_true", required=True, help="show events from now on, until Ctrl-C")


def _add_prune(made: argparse.ArgumentParser) -> None:
    """What `prune` is about."""
    made.add_argument("policy", nargs="?", metavar="POLICY", help="the policy's name (--plan: default: all that prune)")
    made.add_argument("--plan", action="store_true", help="only show what would be deleted and what is kept, and why")
    made.add_argument("--all", action="store_true", help="list every object, however many there are")
    made.add_argument("--yes", action="store_true", help="do not ask; needed where no terminal is, and with --json")


def _add_metrics(made: argparse.ArgumentParser) -> None:
    """What `metrics` is about."""
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


def _add_reason(made: argparse.ArgumentParser) -> None:
    """Why a person does it."""
    made.add_argument(
        "--reason", type=argument_types.reason, default="", metavar="TEXT", help="why, for others to read"
    )


def _add_paused(made: argparse.ArgumentParser) -> None:
    """What `pause` and `resume` are about; exactly one of them."""
    about = made.add_mutually_exclusive_group(required=True)
    about.add_argument("policy", nargs="?", metavar="POLICY", help="this policy")
    about.add_argument("--all", action="store_true", help="the agent: it does nothing and notifies nobody")
    about.add_argument("--target", metavar="NAME", help="all policies about this container")


def _add_policy_and_target(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What `explain` and `trigger` are about."""
    made.add_argument("policy", metavar="POLICY", help="the policy's name")
    made.add_argument(
        "target", nargs="?", metavar="TARGET", help="a container, by name or begin of its id (default: all it is about)"
    )
    return made

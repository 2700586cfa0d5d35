"""The borders of docs/architecture.md that are no import statements: lint-imports does not see who crosses them.

    python scripts/borders.py

- The event loop's own clock, `loop.time()`, tells how long something may take or took: in the modules named here alone.
- A module of the core, which contract `pure` in pyproject.toml lists, uses no builtin that reads or writes, and asks no
  date what time it is now.
- Nobody imports past the statements that import rules are about, but for the module named here.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = "watchtower_agent"
WAITS: Final = {
    f"{ROOT}.actions.readiness": "how long a clone has to become well",
    f"{ROOT}.engine.event_stream": "how long events are gathered in a storm",
    f"{ROOT}.loop.durable": "how long the last write may take",
    f"{ROOT}.loop.lag": "how late timers are",
    f"{ROOT}.loop.loop": "how far inspections are apart",
    f"{ROOT}.publishing.delivery": "how long acknowledgements take",
    f"{ROOT}.publishing.mqtt": "how long a broker may be silent, and a connection lasted",
    f"{ROOT}.publishing.subscriptions": "how long a subscription is left alone",
    f"{ROOT}.serving.http": "how long there is rest between two answers",
    f"{ROOT}.sources.questions": "how far questions are apart",
    f"{ROOT}.storage.dead_telling": "how far such events are apart",
}
"""Who reads the event loop's clock, and for what."""
DYNAMIC: Final = frozenset({f"{ROOT}.cli.commands", f"{ROOT}.cli.later"})
"""Who leaves modules out, or loads them later."""
BY_NAME: Final = frozenset({"__import__", "import_module", "resolve_name", "run_module", "run_path"})
NOW: Final = frozenset({"now", "today", "utcnow"})
READS_OR_WRITES: Final = {"breakpoint", "input", "open", "print"}


def breaches(module: str, text: str, *, pure: bool) -> list[str]:
    """What in a module crosses a border, each with its line.

    Args:
        module: Its full name.
        text: Its source.
        pure: It belongs to the core.
    """
    return [f"line {line}: {words}" for line, words in sorted(_found(module, ast.parse(text), pure=pure))]


def _found(module: str, tree: ast.Module, *, pure: bool) -> Iterator[tuple[int, str]]:
    nodes = list(ast.walk(tree))
    reads = list(_reads_of_the_loops_clock(nodes))
    if module in WAITS and not reads:
        yield 1, "it does not read the event loop's clock any more: take it out of WAITS"
    if module not in WAITS:
        yield from ((line, "the event loop's clock; a moment comes from the Clock that is handed in") for line in reads)
    for node in nodes:
        if module not in DYNAMIC and _imports_dynamically(node):
            yield node.lineno, "an import rule sees only import statements"
        if pure and isinstance(node, ast.Name) and node.id in READS_OR_WRITES:
            yield node.lineno, f"`{node.id}` reads or writes, and the core does neither"
        if pure and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NOW:
            yield node.lineno, f"`{node.func.attr}` reads a clock, and the core is handed moments"


def _reads_of_the_loops_clock(nodes: list[ast.AST]) -> Iterator[int]:
    """Lines with `x.time()`, whatever x is, or `loop.time` handed on. An event's `time`, a number, nobody calls."""
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "time":
            of = _last_name(node.value)
            if of.endswith("loop") or (id(node) in called and of != "time"):  # who may import `time`, a contract says
                yield node.lineno


def _last_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _imports_dynamically(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in BY_NAME
        case ast.ImportFrom(module=source, names=names):
            return any(each.name in BY_NAME or (source, each.name) == ("sys", "modules") for each in names)
    return False


def core(pyproject: str) -> tuple[str, ...]:
    """Modules and packages that have to be pure."""
    contracts = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    (pure,) = (each for each in contracts if each["id"] == "pure")
    return tuple(pure["source_modules"])


def crossed(checkout: Path) -> Iterable[str]:
    """Every breach in a checkout, with its place."""
    held = core((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    for path in sorted((checkout / ROOT).rglob("*.py")):
        module = ".".join(path.relative_to(checkout).with_suffix("").parts).removesuffix(".__init__")
        pure = any(module == each or module.startswith(f"{each}.") for each in held)
        for found in breaches(module, path.read_text(encoding="utf-8"), pure=pure):
            yield f"{path.relative_to(checkout)}, {found}"


if __name__ == "__main__":
    told = list(crossed(Path(__file__).resolve().parents[1]))
    print("\n".join(told) or "no border is crossed past the import rules")
    sys.exit(bool(told))

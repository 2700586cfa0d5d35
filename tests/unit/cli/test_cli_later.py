"""Modules that nobody needs at the start are loaded once somebody does, and are the same then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from watchtower_agent.cli.later import SELDOM


def python(code: str) -> str:
    """What a fresh interpreter writes, in which nothing was imported before."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "use", "gives"),
    [
        ("bz2", "bz2.decompress(bz2.compress(b'x'))", "b'x'"),
        ("difflib", "difflib.get_close_matches('helth', ['health'])", "['health']"),
        ("idna", "idna.encode('bücher')", "b'xn--bcher-kva'"),
        ("lzma", "lzma.decompress(lzma.compress(b'x'))", "b'x'"),
        ("tarfile", "tarfile.is_tarfile.__name__", "'is_tarfile'"),
        ("zipfile", "zipfile.ZipFile.__name__", "'ZipFile'"),
    ],
)
def test_a_module_is_loaded_when_something_in_it_is_used(name: str, use: str, gives: str) -> None:
    begin = f"import sys\nfrom watchtower_agent.cli.later import load_later\nload_later()\nimport {name}\n"
    assert python(
        f"{begin}print(hasattr({name}, '__file__'), {use!s} == {gives}, sys.modules['{name}'].__file__ != '')"
    ) == ("False True True")


def test_the_agent_is_loaded_without_them() -> None:
    code = (
        "import sys\nfrom watchtower_agent.cli.commands import _start_quickly\n_start_quickly()\n"
        "import watchtower_agent.settings, watchtower_agent.agent\n"
        f"print([name for name in {SELDOM!r} if type(sys.modules[name]).__name__ != '_Later'])"
    )
    assert python(code) == "[]"


def test_what_is_loaded_already_stays() -> None:
    code = (
        "import zipfile, sys\nfrom watchtower_agent.cli.later import load_later\nload_later()\n"
        "print(sys.modules['zipfile'] is zipfile)"
    )
    assert python(code) == "True"

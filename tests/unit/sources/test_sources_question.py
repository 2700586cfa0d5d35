"""One question over HTTP to a server that does anything: an answer that can be used, or a reason, and in time."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import throwaway_ca
from tests.support.http_server import Behaviour, body, drip, http_server, raw, silent
from tests.support.patience import patient
from watchtower_agent.sources.payload import LARGEST
from watchtower_agent.sources.question import Question, UnansweredQuestionError, trust

SECRET = "/path-of-mine?token=hunter2"


def why(url: str, *, cut_after: float | None = None, timeout: float = 10.0) -> str:
    """Why there is no answer; it never holds what might be secret."""
    question = Question(url, timeout)
    timer = threading.Timer(cut_after, question.cut) if cut_after is not None else None
    if timer is not None:
        timer.start()
    try:
        with pytest.raises(UnansweredQuestionError) as caught:
            question.ask()
    finally:
        if timer is not None:
            timer.cancel()
    reason = str(caught.value)
    assert reason
    assert "hunter2" not in reason
    assert "path-of-mine" not in reason
    return reason


@pytest.mark.parametrize(
    ("behave", "content"),
    [
        (body("42"), b"42"),
        (body(""), b""),
        (body(bytes(LARGEST)), bytes(LARGEST)),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n42"), b"42"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n4\r\n1\r\n2\r\n0\r\n\r\n"), b"42"),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4 and more"), b"4"),
    ],
)
def test_an_answer(behave: Behaviour, content: bytes) -> None:
    with http_server(behave) as server:
        assert Question(server.url(), 10.0).ask() == content


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (body("42", status="404 Not Found"), "it answers 404"),
        (body("42", status="204 No Content"), "it answers 204"),
        (body("42", status="503 hunter2"), "it answers 503"),
        (
            body("", status="302 Found", headers="Location: http://127.0.0.1:1/?token=hunter2\r\n"),
            "it answers 302, and redirects are not followed: name where it leads",
        ),
        (body(bytes(LARGEST + 1)), "the answer is larger than 1 MiB"),
        (body(b"", length=10**15), "the answer ended too early"),
        (body("4", length=2), "the answer ended too early"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(2 * LARGEST)), "the answer is larger than 1 MiB"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n4"), "the answer ended too early"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n4"), "the answer ended too early"),
        (raw(b"SSH-2.0-OpenSSH_9.2 hunter2\r\n"), "what answers does not speak HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), "what answers does not speak HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10**6), "what answers does not speak HTTP"),
        (raw(b""), "it hung up before it had answered"),
    ],
)
def test_no_answer_that_can_be_used(behave: Behaviour, reason: str) -> None:
    with http_server(behave) as server:
        assert why(server.url(SECRET)) == reason


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        drip(b"", b"H"),
        drip(b"HTTP/1.1 ", b"2"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"4"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"4"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n4\r\n"),
    ],
)
def test_whoever_takes_his_time_is_cut_off(behave: Behaviour) -> None:
    with http_server(behave) as server:
        begun = time.monotonic()
        assert why(server.url(SECRET), cut_after=0.3) == "no answer within 10 s"
        assert time.monotonic() - begun < patient(3)


def test_a_step_that_takes_too_long_ends_by_itself() -> None:
    with http_server(silent) as server:
        assert why(server.url(), timeout=0.2) == "no answer within 0.2 s"


def test_one_that_was_cut_before_it_began_asks_nothing() -> None:
    with http_server(body("42")) as server:
        question = Question(server.url(), 10.0)
        question.cut()
        with pytest.raises(UnansweredQuestionError, match="no answer within 10 s"):
            question.ask()
        assert server.asked == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "no connection: Connection refused"),
        ("http://nobody.invalid/?token=hunter2", "its host is not known"),
        ("ftp://127.0.0.1/path-of-mine", "it is no http or https URL without a user"),
        ("http://", "it is no http or https URL without a user"),
        ("http://me:hunter2@127.0.0.1/", "it is no http or https URL without a user"),
        ("http://127.0.0.1:port/", "it is no URL that can be asked"),
        ("http://127.0.0.1:99999/", "it is no URL that can be asked"),
        ("http://[::1/", "it is no URL that can be asked"),
        (f"http://{'a' * 64}.invalid/", "it is no URL that can be asked"),
    ],
)
def test_an_address_where_nobody_answers(url: str, reason: str) -> None:
    assert why(url) == reason


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("", "/"),
        ("?a=1", "/?a=1"),
        ("/a%20b?q=%7B", "/a%20b?q=%7B"),
        ('/q?query=sum(rate(x{job="a b"}[1m]))', "/q?query=sum(rate(x%7Bjob=%22a%20b%22%7D%5B1m%5D))"),
        ("/ü", "/%C3%BC"),
        ("/a#fragment", "/a"),
    ],
)
def test_what_is_asked_is_what_was_written(target: str, asked: str) -> None:
    with http_server(body("42")) as server:
        Question(server.url(target), 10.0).ask()
        assert server.targets == [asked]


def test_a_line_break_in_a_url_makes_no_header() -> None:
    with http_server(body("42")) as server:
        Question(server.url("/a\r\nX-Evil: 1\x00"), 10.0).ask()
        assert server.targets == ["/aX-Evil:%201%00"]
        assert "\r\nX-Evil" not in server.asked[0]


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with http_server(body("42")) as server:
        assert Question(server.url(), 10.0).ask() == b"42"


def test_whose_certificate_is_not_trusted_is_not_asked(tmp_path: Path) -> None:
    files = throwaway_ca(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    with http_server(body("42"), tls=context) as server:
        assert why(f"https://127.0.0.1:{server.port}{SECRET}").startswith("its certificate is not trusted: ")
        assert server.asked == []


def test_a_server_without_tls_is_not_waited_for() -> None:
    with http_server(body("42")) as server:
        url = f"https://127.0.0.1:{server.port}{SECRET}"
        assert why(url, timeout=0.2) == "no answer within 0.2 s"


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's certificate that this system trusts for a while."""
    files = throwaway_ca(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    trust.cache_clear()
    yield context
    trust.cache_clear()


def test_an_answer_over_tls(trusted: ssl.SSLContext) -> None:
    with http_server(body("42"), tls=trusted) as server:
        assert Question(f"https://127.0.0.1:{server.port}{SECRET}", 10.0).ask() == b"42"
        assert server.targets == [SECRET]


@pytest.mark.parametrize("behave", [silent, drip(b"HTTP/1.1 200 OK\r\n\r\n", b"4")])
def test_whoever_takes_his_time_over_tls_is_cut_off_too(trusted: ssl.SSLContext, behave: Behaviour) -> None:
    with http_server(behave, tls=trusted) as server:
        begun = time.monotonic()
        assert why(f"https://127.0.0.1:{server.port}{SECRET}", cut_after=0.3) == "no answer within 10 s"
        assert time.monotonic() - begun < patient(3)

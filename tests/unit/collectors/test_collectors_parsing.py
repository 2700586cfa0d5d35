from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.support.cgroups import SAMPLES
from watchtower_agent.collectors import parsing


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"0\n", 0),
        (b"22077440\n", 22077440),
        (b"9223372036854771712\n", 9223372036854771712),
        (b"-1\n", None),
        (b"max\n", None),
        (b"", None),
        (b"\n", None),
        (b"12 34\n", None),
        (b"1.5\n", None),
        ("٣\n".encode(), None),
    ],
)
def test_a_file_of_one_number(data: bytes, number: int | None) -> None:
    assert parsing.integer(data) == number


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"inactive_file 5\nactive_file 6\n", 5),
        (b"anon 1\ninactive_file 5\n", 5),
        (b"total_inactive_file 9\ninactive_file 5\n", 5),
        (b"anon 1\ntotal_inactive_file 9\n", None),
        (b"anon 1\ninactive_file 5", None),  # cut off: it may have been 51
        (b"anon 1\ninactive_file \n", None),
        (b"anon 1\ninactive_file x\n", None),
        (b"", None),
    ],
)
def test_one_key_among_lines(data: bytes, number: int | None) -> None:
    assert parsing.value_after(data, b"\ninactive_file ") == number


@pytest.mark.parametrize(
    ("data", "cores"),
    [(b"50000 100000\n", 0.5), (b"max 100000\n", math.inf), (b"50000\n", None), (b"50000 0\n", None), (b"", None)],
)
def test_the_quota_of_v2(data: bytes, cores: float | None) -> None:
    assert parsing.cpu_max(data) == cores


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        (b"150000\n", b"100000\n", 1.5),
        (b"-1\n", b"100000\n", math.inf),
        (b"-2\n", b"100000\n", None),
        (b"1\n", b"0\n", None),
    ],
)
def test_the_quota_of_v1(quota: bytes, period: bytes, cores: float | None) -> None:
    assert parsing.cfs_quota(quota, period) == cores


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"0\n", 1),
        (b"0-3\n", 4),
        (b"0-3,8\n", 5),
        (b"1,3,5-6\n", 4),
        (b"\n", None),
        (b"3-1\n", None),
        (b"0-99999999999\n", None),
        (b"0-\n", None),
        (b"a\n", None),
    ],
)
def test_a_set_of_processors(data: bytes, size: int | None) -> None:
    assert parsing.cpuset_size(data) == size


@pytest.mark.parametrize(("data", "value"), [(b"max\n", math.inf), (b"67108864\n", 67108864), (b"", None)])
def test_a_memory_limit(data: bytes, value: float | None) -> None:
    assert parsing.limit(data) == value


def test_busy_and_total_time_of_the_host() -> None:
    # user 10, nice 1, system 5, idle 70, iowait 10, irq 1, softirq 2, steal 1; guest is part of user
    assert parsing.cpu_times(b"cpu  10 1 5 70 10 1 2 1 9 9\ncpu0 1\n") == (20, 100)


@pytest.mark.parametrize("data", [b"", b"cpu  1 2 3\n", b"cpu  1 2 3 4 5 6 7 8", b"intr 1 2 3 4 5 6 7 8 9\n"])
def test_a_cpu_line_that_is_none(data: bytes) -> None:
    assert parsing.cpu_times(data) is None


@pytest.mark.parametrize(
    ("data", "loads"),
    [
        (b"0.52 0.58 0.59 1/300 99\n", (0.52, 0.58)),
        (b"nan 1 1\n", None),
        (b"-1 1 1\n", None),
        (b"1\n", None),
        (b"", None),
    ],
)
def test_load_averages(data: bytes, loads: tuple[float, float] | None) -> None:
    assert parsing.load_averages(data) == loads


def test_kibibytes_of_meminfo() -> None:
    data = b"MemTotal:       24684084 kB\nMemFree:        24312692 kB\nHugePages_Total:       0\n"
    assert parsing.kibibytes_after(data, b"\nMemTotal:") == 24684084 * 1024
    assert parsing.kibibytes_after(data, b"\nMemFree:") == 24312692 * 1024
    assert parsing.kibibytes_after(data, b"\nMemAvailable:") is None


@pytest.mark.parametrize(
    ("file", "key", "number"),
    [
        ("v2/cpu.stat", b"\nusage_usec ", 4587400),
        ("v2/memory.stat", b"\ninactive_file ", 20971520),
        ("v2/memory.events", b"\noom_kill ", 0),
        ("v1/memory.stat", b"\ntotal_inactive_file ", 20971520),
        ("v1/memory.oom_control", b"\noom_kill ", 0),
    ],
)
def test_what_real_kernels_wrote(file: str, key: bytes, number: int) -> None:
    assert parsing.value_after(Path(SAMPLES, file).read_bytes(), key) == number


WORDS = [
    b"cpu ",
    b"\nusage_usec ",
    b"max",
    b" ",
    b"\n",
    b"-",
    b",",
    b"0",
    b"18446744073709551616",
    b"1e9",
    b"nan",
    b" kB\n",
]
junk = st.binary(max_size=300) | st.lists(st.sampled_from(WORDS), max_size=20).map(b"".join)


@given(junk, junk)
def test_junk_is_unknown_or_a_sensible_number_and_never_a_crash(data: bytes, other: bytes) -> None:
    numbers = [
        parsing.integer(data),
        parsing.value_after(data, b"\nusage_usec "),
        parsing.kibibytes_after(data, b"\nusage_usec "),
        parsing.limit(data),
        parsing.cpu_max(data),
        parsing.cfs_quota(data, other),
        parsing.cpuset_size(data),
        parsing.online_cpus(data),
    ]
    assert all(number is None or number >= 0 for number in numbers)
    times, loads = parsing.cpu_times(data), parsing.load_averages(data)
    assert times is None or 0 <= times[0] <= times[1]
    assert loads is None or all(0 <= load < math.inf for load in loads)


@given(
    st.integers(min_value=0, max_value=2**64 - 1),  # as large as a counter can be
    st.dictionaries(st.from_regex(rb"[a-z_]{1,20}", fullmatch=True), st.integers(min_value=0)),
)
def test_a_written_number_is_found_among_others(number: int, others: dict[bytes, int]) -> None:
    others.pop(b"oom_kill", None)
    lines = [b"%s %d\n" % item for item in others.items()]
    lines.insert(len(lines) // 2, b"oom_kill %d\n" % number)
    assert parsing.value_after(b"".join(lines), b"\noom_kill ") == number


@pytest.mark.parametrize(
    ("data", "moved"),
    [
        ((SAMPLES / "v2" / "io.stat").read_bytes(), (0, 20971520)),
        (b"8:0 rbytes=1 wbytes=2 rios=3\n254:0 rbytes=10 wbytes=20\n", (11, 22)),
        (b"8:0 rbytes=1 wbytes=2\n254:0 rbytes=10 wby", (1, 2)),  # cut off
        (b"8:0 \n", (0, 0)),
        (b"8:0 rbytes=x wbytes=-3\n", (0, 0)),
        (b"", (0, 0)),
    ],
)
def test_bytes_moved_on_v2(data: bytes, moved: tuple[int, int]) -> None:
    assert parsing.io_stat(data) == moved


@pytest.mark.parametrize(
    ("data", "moved"),
    [
        ((SAMPLES / "v1" / "blkio.throttle.io_service_bytes_recursive").read_bytes(), (4096, 20971520)),
        (b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 10\n8:16 Write 20\nTotal 33\n", (11, 22)),
        (b"8:0 Read 1\n8:0 Write 22", (1, 0)),
        (b"Total 0\n", None),
        (b"", None),
    ],
)
def test_bytes_moved_on_v1(data: bytes, moved: tuple[int, int] | None) -> None:
    assert parsing.blkio_bytes(data) == moved


def test_seconds_stalled() -> None:
    data = (SAMPLES / "v2" / "cpu.pressure").read_bytes()
    assert parsing.stalled(data, b"some") == pytest.approx(3.937575)
    assert parsing.stalled(data, b"full") == pytest.approx(3.842047)
    assert parsing.stalled(data.splitlines(keepends=True)[0], b"full") is None  # before Linux 5.13 for CPU
    assert parsing.stalled(b"some avg10=0.00 total=", b"some") is None
    assert parsing.stalled(b"", b"some") is None


def test_traffic_counts_all_interfaces_but_the_loopback() -> None:
    head = b"Inter-|   Receive  |  Transmit\n face |bytes packets\n"
    loopback = b"    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n"
    # the name and a long number stand side by side without a space
    ethernet = b"  eth0:1234567890 2 3 4 5 6 7 8 9000000000 10 11 12 13 14 15 16\n"
    assert parsing.traffic(head + loopback) is None
    assert parsing.traffic(head + loopback + ethernet) == (1234567890, 9000000000, 3 + 4 + 11 + 12)
    assert parsing.traffic(head + ethernet + ethernet.replace(b"eth0", b"eth1")) == (2469135780, 18000000000, 60)
    assert parsing.traffic(head + loopback + ethernet[:-9]) is None


@given(st.binary(max_size=400))
def test_no_file_upsets_the_parsers_of_lines(data: bytes) -> None:
    for moved in (parsing.io_stat(data), parsing.blkio_bytes(data), parsing.traffic(data)):
        assert moved is None or all(number >= 0 for number in moved)
    seconds = parsing.stalled(data, b"some")
    assert seconds is None or seconds >= 0

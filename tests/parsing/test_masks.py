"""Does the identity of a line keep what decides and leave out what varies?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError
from jamais.parsing.masks import Masks
from jamais.parsing.settings import ParsingSettings

MASKS = Masks()

SAME = [
    ("x1 is up", "x2 is up"),
    ("T1 done", "T done"),
    ("eth0 link", "eth1 link"),
    ("took 5ms", "took 1.25 s"),
    ("took 5ms", "took 1h2m3.5s"),
    ("load 0.5", "load 1e-05"),
    ("delta -3 seen", "delta 3 seen"),
    ("from 10.0.0.1:80 now", "from 192.168.1.250:50010 now"),
    ("id 38101a0b-2096-447d-96ea-a692162415ae ok", "id 00000000-1111-2222-3333-444444444444 ok"),
    ("sha 113d3a99c3da401fbd62cc2caa5b96d2 ok", "sha 0123456789abcdef0123456789abcdef ok"),
    ("at 0x7fff12ab now", "at 0xdeadbeef now"),
    ("via fe80::1ff:fe23:4567:890a up", "via 2001:db8:0:1:1:1:1:1 up"),
    ("mac 00:1a:2b:3c:4d:5e up", "mac ff:ee:dd:cc:bb:aa up"),
    ("open /var/log/a.log failed", "open /etc/passwd failed"),
    ("values 1 2 3 end", "values 4 5 6 7 8 end"),
    ("user=alice logged", "user=bob logged"),
    (
        "Failed password for invalid user webmaster from 1.2.3.4",
        "Failed password for invalid user bob from 5.6.7.8",
    ),
    ("key AbC1dE2fG3hI4jK5lM6 used", "key Zz9Yx8Wv7Ut6Sr5Qp4O used"),
    ("on Fri Jul 1 2005 ok", "on Sat Nov 22 2025 ok"),
    ("sent 451 bytes (18.4 KB) ok", "sent 0 bytes ok"),
]
DIFFERENT = [
    ('"GET /a HTTP/1.1" 200 17 "-"', '"GET /a HTTP/1.1" 502 17 "-"'),
    ('"-" 400 0 "-"', '"-" 408 0 "-"'),
    ("exit code 0", "exit code 1"),
    ("exited with status 139", "exited with status 1"),
    ("worker exited with code 1 x", "worker exited with code 0 x"),
    ("rc=0", "rc=1"),
    ("ret=-1", "ret=0"),
    ("errno 104", "errno 111"),
    ("errno=104", "errno=11"),
    ("error code 5", "error code 6"),
    ("(111: Connection refused)", "(110: Connection timed out)"),
    ("connect() failed (111: Unknown error)", "connect() failed (113: Unknown error)"),
    ("killed by signal 9", "killed by signal 15"),
    ("SQLSTATE 53300", "SQLSTATE 42601"),
    ("code: E1234", "code: E1235"),
    ('{"status":500}', '{"status":200}'),
    ("status=200 ok", "status=404 ok"),
    ("status code 404", "status code 500"),
    ("HTTP/1.1 503", "HTTP/1.1 200"),
    ("success=1", "success=0"),
    ("ORA-12541: no listener", "ORA-12154: no listener"),
    ("connection accepted", "connection refused"),
    ("用户登录成功", "用户登录失败"),
    ("соединение установлено", "соединение разорвано"),
    ("✅", "❌"),
    ("{", "}"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_varies_is_no_part_of_the_identity(one: str, other: str) -> None:
    assert MASKS.normal(one) == MASKS.normal(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_decides_is_part_of_the_identity(one: str, other: str) -> None:
    assert MASKS.normal(one) != MASKS.normal(other)


def test_an_empty_line_has_an_empty_identity() -> None:
    assert MASKS.normal("") == MASKS.normal("  \n") == ""


@pytest.mark.parametrize("line", ["took 5 s", "port 22", "", "失败 3", "status=500", "a b"])
@pytest.mark.parametrize("end", ["\n", " ", "\r\n", "\t \n"])
def test_a_trailing_line_end_or_blank_makes_no_difference(line: str, end: str) -> None:
    assert MASKS.normal(line + end) == MASKS.normal(line)


def test_people_see_the_line_with_its_variables_masked() -> None:
    shown = MASKS.shown("Received block blk_-3544 of size 67108864 from /10.250.19.102:50010 in /var/log/x2")
    assert shown == "Received block blk_<*> of size <*> from /<*> in /var/log/x<*>"
    assert MASKS.shown("id 38101a0b-2096-447d-96ea-a692162415ae at 0x7f") == "id <*> at <*>"
    assert MASKS.shown('"GET /a HTTP/1.1" 502 17') == '"GET /a HTTP/<*>" 502 <*>'
    assert MASKS.shown("login password=hunter2") == "login password=<secret>"


def test_rules_of_the_user_come_first() -> None:
    masks = Masks(ParsingSettings(masks=(("order", r"order-[a-z]+"),), keep=(r"shard (\d+)",)))
    assert masks.normal("order-abc on shard 3") == "<order> on shard 3"
    assert masks.shown("order-abc on shard 3, 17 left") == "<order> on shard 3, <*> left"
    assert masks.normal("order-abc on shard 3") != masks.normal("order-abc on shard 4")


@pytest.mark.parametrize("bad", [{"masks": (("x", "("),)}, {"keep": (r"\d+",)}, {"similarity": 2.0}, {"max_words": 0}])
def test_a_senseless_setting_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ParsingSettings(**bad)  # type: ignore[arg-type]


LINES = st.lists(
    st.sampled_from(
        [
            "job",
            "worker",
            "blk_",
            "x",
            "T",
            "size=",
            "took",
            "ms",
            "s",
            "failed",
            "done",
            "user=bob",
            "/a/b",
            ":",
            ",",
            "(",
            ")",
            "[",
            "]",
            "-",
            "GET",
            "eth",
            "at",
            "a.b",
            "中",
            "é",
        ]
    ),
    max_size=12,
)


@given(
    LINES,
    st.lists(st.integers(0, 99999), min_size=24, max_size=24),
    st.lists(st.integers(0, 99999), min_size=24, max_size=24),
)
def test_other_digits_are_the_same_line_unless_they_are_kept(
    words: list[str], one: list[int], other: list[int]
) -> None:
    def line(numbers: list[int]) -> str:
        return " ".join(f"{word}{number % 1000}" for word, number in zip(words, numbers, strict=False))

    assert MASKS.normal(line(one)) == MASKS.normal(line(other))


@given(st.text(max_size=80))
def test_any_text_has_an_identity_and_its_words_hold_no_blank(text: str) -> None:
    normal = MASKS.normal(text)
    assert normal == MASKS.normal(text)
    assert all(normal.split(" ")) or normal == ""
    MASKS.shown(text)


DIGIT_PLACES = st.lists(st.integers(0, 200), max_size=6)


@given(st.sampled_from([line for pair in DIFFERENT for line in pair]), DIGIT_PLACES)
def test_a_kept_number_can_be_seen_coming_in_the_line_without_digits(line: str, places: list[int]) -> None:
    for place in places:
        at = place % (len(line) + 1)
        line = line[:at] + str(place % 10) + line[at:]
    raw = line.encode()
    bare = raw.translate(None, b"0123456789")
    for context in MASKS.keep.contexts:
        assert not context.raw.search(raw) or context.bare.search(bare), (context.raw.pattern, raw)

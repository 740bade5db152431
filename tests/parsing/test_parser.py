"""Does a template keep its name, stay apart from what says something else, and survive a restart?"""

import csv
import gzip
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import CorruptStateError
from jamais.parsing.parser import TemplateParser
from jamais.parsing.settings import ParsingSettings

WORDS = [
    "job",
    "disk",
    "worker",
    "started",
    "paused",
    "failed",
    "done",
    "copy",
    "block",
    "link",
    "is",
    "up",
    "down",
    "removed",
    "user",
    "bob",
    "eve",
    "kim",
    "ann",
    "zoe",
    "max",
]
MESSAGES = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), max_size=60)


def state(parser: TemplateParser) -> dict[str, object]:
    tree = parser.state_dict()
    return {**tree, "alias": tree["alias"].tolist()}


def learned(messages: list[str], **settings: int) -> TemplateParser:
    parser = TemplateParser(ParsingSettings(**settings))  # type: ignore[arg-type]
    for message in messages:
        parser.learn(message)
    return parser


def survivors(parser: TemplateParser) -> set[str]:
    return {parser.ids[i] for i in parser.canonical().tolist()}


@pytest.mark.parametrize(
    "lines",
    [
        ["VM Started", "VM Paused", "VM Resumed", "VM Stopped"],
        ["connection accepted", "connection refused"],
        [f"job {word}" for word in ["copied", "moved", "sorted", "packed", "mailed", "printed", "completed", "failed"]][
            -2:
        ],
        ["用户登录成功", "用户登录失败", "系统启动"],
    ],
)
def test_lines_that_say_different_things_stay_apart(lines: list[str]) -> None:
    parser = TemplateParser()
    assert len({parser.learn(line) for line in lines}) == len(set(parser.canonical().tolist())) == len(lines)


def test_a_decisive_word_never_goes_into_an_open_place() -> None:
    parser = learned([f"task sync now {word}" for word in ["queued", "copied", "moved", "sorted", "packed", "mailed"]])
    assert parser.match("task sync now printed") == 0
    assert parser.match("task sync now failed") == -1
    failed = parser.learn("task sync now failed")
    assert failed != 0
    assert parser.match("task sync now failed") == failed


def test_a_place_opens_after_enough_words_and_the_oldest_template_survives() -> None:
    parser = TemplateParser()
    names = ["amber", "birch", "cedar", "daisy", "elder"]
    given = [parser.learn(f"plugin {name} was loaded") for name in names]
    assert given == [0, 1, 2, 3, 0]
    assert parser.canonical().tolist() == [0] * 5
    assert parser.match("plugin fern was loaded") == 0
    assert parser.patterns() == ["plugin * was loaded", "", "", "", ""]
    assert parser.match("plugin fern was removed") == -1


def test_names_of_things_open_a_place_sooner_than_words() -> None:
    parser = learned([f"lease for web_{c} renewed" for c in "abc"])
    assert parser.match("lease for web_zz renewed") == 0


def test_a_template_of_nothing_but_variables_never_arises() -> None:
    parser = learned(
        [
            f"{a} {b}"
            for a in ["amber", "birch", "cedar", "daisy", "elder", "fern"]
            for b in ["x", "y", "z", "u", "v", "w"]
        ]
    )
    assert parser.match("something else") == -1
    single = learned(["用户登录", "系统启动", "磁盘已满", "网络断开", "服务停止", "任务开始", "任务结束"])
    assert single.match("数据丢失") == -1


def test_contexts_never_merge_and_their_digits_do_not_count() -> None:
    parser = TemplateParser()
    info, error = parser.learn("disk 1 full", "INFO db1"), parser.learn("disk 1 full", "ERROR db1")
    assert info != error
    assert parser.learn("disk 2 full", "INFO db7") == info
    assert parser.contexts == ["INFO db", "ERROR db"]


def test_an_empty_message_is_a_template() -> None:
    parser = TemplateParser()
    assert parser.match("") == -1
    assert parser.learn("") == parser.match("  \n") == 0


def test_the_id_is_the_same_in_every_run_and_for_every_value() -> None:
    one, other = TemplateParser(), TemplateParser()
    one.learn("Received block blk_1 of size 5 from /10.0.0.1", "INFO")
    other.learn("Received block blk_-77 of size 67108864 from /10.250.1.9", "INFO")
    assert one.ids == other.ids == ["3dc7cfcf121441f6"]
    name, shown = TemplateParser().identity("Received block blk_3 of size 1 from /1.2.3.4", "INFO")
    assert name == one.ids[0]
    assert shown == "Received block blk_<*> of size <*> from /<*>"


def test_no_secret_enters_the_state() -> None:
    parser = learned(["login password=hunterx done", "mail to bob@corp.example.org done", "Bearer abcdefx done"])
    text = str(parser.state_dict())
    assert not any(secret in text for secret in ("hunterx", "corp.example", "abcdefx"))


@given(MESSAGES, MESSAGES)
def test_match_changes_nothing_and_agrees_with_learn(known: list[str], asked: list[str]) -> None:
    parser = learned(known)
    before = state(parser)
    found = [parser.match(message) for message in asked]
    assert found == [parser.match(message) for message in asked]
    assert state(parser) == before
    for message, index in zip(asked, found, strict=True):
        if index >= 0:
            assert parser.learn(message) == index
    assert state(parser) == before


@given(MESSAGES)
def test_what_was_learned_is_found_again(messages: list[str]) -> None:
    parser = TemplateParser()
    given = [parser.learn(message) for message in messages]
    folded = parser.canonical()
    assert [parser.match(message) for message in messages] == [int(folded[i]) for i in given]


@given(MESSAGES, MESSAGES)
def test_a_reloaded_parser_goes_on_as_if_never_stopped(first: list[str], rest: list[str]) -> None:
    parser = learned(first)
    reloaded = TemplateParser()
    reloaded.load_state_dict(parser.state_dict())
    assert [parser.learn(m) for m in rest] == [reloaded.learn(m) for m in rest]
    assert state(parser) == state(reloaded)


@given(MESSAGES, MESSAGES)
def test_merged_halves_know_what_each_half_knew(left: list[str], right: list[str]) -> None:
    one, two = learned(left), learned(right)
    second = [two.canonical()[two.match(m)] for m in right]
    index = one.merge(two)
    assert all(one.match(m) >= 0 for m in left + right)
    folded = one.canonical()
    assert [int(folded[index[i]]) for i in second] == [one.match(m) for m in right]


def test_merged_halves_are_one_pass_where_no_place_opens() -> None:
    lines = [f"{a} {b} finished in 3 ms" for a in ("copy", "move", "scan") for b in ("disk", "tape", "link")]
    one, two = learned(lines[:5]), learned(lines[5:])
    one.merge(two)
    assert survivors(one) == survivors(learned(lines))
    assert one.ids == learned(lines).ids


def test_a_full_parser_stays_bounded_and_finds_what_it_learned() -> None:
    source = random.Random(1)
    words = ["".join(source.choice("bcdghklmnp") for _ in range(4)) for _ in range(200)]
    lines = [" ".join(source.choices(words, k=source.randint(1, 9))) for _ in range(600)]
    parser = learned(lines, max_templates=50)
    assert len(parser) <= 51
    assert all(parser.match(line) >= 0 for line in lines[-20:])
    reloaded = TemplateParser(parser.settings)
    reloaded.load_state_dict(parser.state_dict())
    assert [reloaded.match(line) for line in lines] == [parser.match(line) for line in lines]


@pytest.mark.parametrize("broken", [{"texts": []}, {"alias": np.array([1, 0])}, {"alias": np.array([-1, 1])}])
def test_a_state_that_does_not_fit_together_is_refused(broken: dict[str, object]) -> None:
    parser = learned(["a b", "c d e"])
    with pytest.raises(CorruptStateError):
        TemplateParser().load_state_dict({**parser.state_dict(), **broken})


def test_nearest_names_the_template_that_shares_most_words() -> None:
    parser = learned(["disk is nearly full", "link is going down"])
    assert parser.nearest("disk is totally full") == (0, 0.75)
    assert parser.nearest("nothing of that length at all") == (-1, 0.0)


@pytest.mark.parametrize(("system", "wanted"), [("HDFS", 0.99), ("BGL", 0.97), ("OpenSSH", 0.99), ("Mac", 0.93)])
def test_real_logs_fall_into_the_templates_people_see(data: Path, system: str, wanted: float) -> None:
    path = data / "logs" / "loghub_2k" / f"{system}_2k.log_structured.csv.gz"
    if not path.exists():
        pytest.skip(f"no {path.name} in the data folder")
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    parser = TemplateParser()
    indices = [parser.learn(row["Content"]) for row in rows]
    found = parser.canonical()[indices].tolist()
    ours: dict[int, set[int]] = {}
    theirs: dict[str, set[int]] = {}
    for i, (index, row) in enumerate(zip(found, rows, strict=True)):
        ours.setdefault(index, set()).add(i)
        theirs.setdefault(row["EventId"], set()).add(i)
    right = sum(ours[index] == theirs[row["EventId"]] for index, row in zip(found, rows, strict=True))
    assert right / len(rows) >= wanted

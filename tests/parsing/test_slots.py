"""Is a value far outside noticed, and is everything else left alone?"""

import random

import pytest

from jamais.errors import CorruptStateError
from jamais.parsing.slots import SlotTable

SOURCE = random.Random(7)


def table(lines: list[str]) -> SlotTable:
    slots = SlotTable()
    for line in lines:
        slots.observe(3, line.encode())
    return slots


SIZES = [f"Received block blk_{SOURCE.getrandbits(60)} of size {SOURCE.randint(1024, 67108864)} ok" for _ in range(300)]
STATES = [
    f"worker {i} state={SOURCE.choice(['IDLE', 'BUSY', 'DRAIN'])} after {SOURCE.randint(1, 900)}ms" for i in range(300)
]


def test_a_number_far_above_all_others_is_evidence() -> None:
    probe = table(SIZES).probe(3)
    assert probe is not None
    found = probe(b"Received block blk_12 of size 9999999999 ok")
    assert found is not None
    nats, text = found
    assert nats > 5.0
    assert text.startswith("size 9,999,999,999, normally ")
    assert probe(b"Received block blk_12 of size -1 ok") is not None


def test_a_usual_record_is_none() -> None:
    for lines in (SIZES, STATES):
        probe = table(lines).probe(3)
        assert probe is not None
        assert all(probe(line.encode()) is None for line in lines)
    assert probe(b"worker 100000 state=IDLE after 1200ms") is None


def test_a_word_outside_a_closed_set_is_evidence() -> None:
    probe = table(STATES).probe(3)
    assert probe is not None
    found = probe(b"worker 3 state=LOST after 5ms")
    assert found is not None
    assert found[1].startswith("state LOST, normally ")
    assert probe(b"worker 3 state=IDLEX after 5ms") is not None
    slow = probe(b"worker 3 state=IDLE after 900000ms")
    assert slow is not None
    assert slow[1].startswith("after 900,000ms")


@pytest.mark.parametrize(
    "line",
    [
        "request id {n} done",
        "listening on port {n}",
        "pid={n} started",
        "peer 10.0.0.{n} joined",
        "at 12:00:{n} sharp",
        "offset {c} committed",
        "sent packet {c} now",
        "counter={c}",
        "name {w} seen",
    ],
)
def test_ids_ports_addresses_times_and_counters_have_no_usual_value(line: str) -> None:
    source = random.Random(1)
    lines = [
        line.replace("{n}", str(source.randrange(60)))
        .replace("{c}", str(1000 + 7 * i))
        .replace("{w}", f"u{source.random()}")
        for i in range(300)
    ]
    assert table(lines).probe(3) is None


def test_few_values_say_nothing_and_an_unknown_template_neither() -> None:
    assert table(SIZES[:50]).probe(3) is None
    assert table(SIZES).probe(4) is None


def test_a_reloaded_table_goes_on_as_if_never_stopped() -> None:
    whole, half = table(STATES), table(STATES[:150])
    reloaded = SlotTable()
    reloaded.load_state_dict(half.state_dict())
    for line in STATES[150:]:
        reloaded.observe(3, line.encode())
    assert reloaded.state_dict() == whole.state_dict()


def test_merged_halves_watch_the_same_as_one_pass() -> None:
    one, two = table(STATES[:150]), table(STATES[150:])
    one.merge(two, {3: 3})  # type: ignore[arg-type]
    probe = one.probe(3)
    assert probe is not None
    assert probe(b"worker 3 state=LOST after 5ms") is not None
    assert all(probe(line.encode()) is None for line in STATES)


def test_templates_that_became_one_share_their_slots() -> None:
    slots = SlotTable()
    for i, line in enumerate(STATES):
        slots.observe(i % 2, line.encode())
    slots.fold([0, 0])
    assert slots.probe(1) is None
    assert slots.probe(0) is not None


def test_it_is_bounded_and_holds_no_secret() -> None:
    slots = SlotTable(capacity=2)
    for template in range(5):
        for i in range(150):
            slots.observe(template, f"a{i} ".encode() + b" ".join(b"k%d=v%d" % (j, i % 2) for j in range(50)))
            slots.observe(template, b"login password=hunterx token=abcdefx by bob@corp.example.org ok")
    tree = slots.state_dict()
    assert len(tree["templates"]) == 2
    assert len(tree["rows"]) <= 2 * 12
    assert not any(secret in str(tree) for secret in ("hunterx", "abcdefx", "corp"))


def test_a_row_that_is_no_slot_is_refused() -> None:
    with pytest.raises(CorruptStateError):
        SlotTable().load_state_dict({"templates": [1], "rows": [[1, "x"]]})

"""Is the simulated operator late, busy and wrong as told, and does no verdict know an answer that came after it?"""

import argparse
import csv
import itertools
from collections import Counter

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn", reason="the baselines need the bench extra")

from benchmarks.quality import datasets
from benchmarks.quality.online.logs import contest, memories, old_tenths, rows, show, streams, watched
from benchmarks.quality.online.logs.operators import LATE_AND_WRONG, TRUTHFUL, Habits, Operator
from benchmarks.quality.online.logs.walk import Judged, Walked, quality, walk
from test_quality_protocol import tiny_log

import jamais


def flow_of(items, labels, known=((1, 2), (2, 3))):
    """Windows of event numbers; their lines are "event 7"."""
    texts = {event: f"event {event}" for event in {event for item in (*items, *known) for event in item}}
    split = datasets.window_split(
        "tiny", [(0, item) for item in known], list(zip(labels, items, strict=True)), texts, 1
    )
    return streams.window_flow("BGL after 80 %", split)


def random_flow(seed=0, n=600):
    """Events above 5 are unknown; those above 15 are what makes an item abnormal."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, 25)
    items, labels = [], []
    for at in range(n):
        there = [event for event in range(6, 25) if first[event] <= at and rng.random() < 0.04]
        items.append((int(rng.integers(1, 5)), *there))
        labels.append(int(any(event > 15 for event in there)))
    return flow_of(items, labels, known=((1, 2, 3, 4, 5),))


# The operator


def test_an_answer_is_in_as_many_items_later_as_the_person_is_late_and_never_before_the_next():
    for late, expected in ((0, 8), (1, 8), (10, 17)):
        person = Operator(Habits("x", late=late), np.zeros(100, dtype=np.int64), 0)
        person.ask(7, 7, "this")
        assert person.next_due() == expected
        assert person.due(expected - 1) == []
        assert [answer.note for answer in person.due(expected)] == ["this"]
        assert person.due(99) == []


def test_no_more_answers_a_day_than_the_budget_and_the_next_day_begins_anew():
    person = Operator(Habits("x", budget=2, day=10), np.zeros(100, dtype=np.int64), 0)
    assert [person.ask(at, at) for at in (0, 3, 9, 10, 11, 12, 25)] == [True, True, False, True, True, False, True]
    assert person.n_asked == 5
    assert len(person.due(99)) == 5
    assert (person.next_day(9), person.next_day(10)) == (10, 20)


def test_the_share_of_wrong_answers_is_the_one_told_and_the_others_are_true():
    labels = np.random.default_rng(1).integers(0, 2, 4_000)
    person = Operator(Habits("x", wrong=0.05), labels, 3)
    for at in range(len(labels)):
        person.ask(at, at, at)
    answers = person.due(5_000)
    wrong = [answer.note for answer in answers if answer.abnormal != labels[answer.note]]
    assert len(wrong) == person.n_wrong
    assert abs(len(wrong) / len(labels) - 0.05) < 3 * (0.05 * 0.95 / len(labels)) ** 0.5
    truthful = Operator(TRUTHFUL, labels, 3)
    assert all(truthful.ask(at, at, at) for at in range(len(labels)))
    assert [answer.abnormal for answer in truthful.due(5_000)] == labels.astype(bool).tolist()


def test_another_seed_is_wrong_elsewhere_and_the_same_seed_in_the_same_places():
    labels = np.zeros(500, dtype=np.int64)

    def slips(seed):
        person = Operator(LATE_AND_WRONG, labels, seed)
        for at in range(50):
            person.ask(at, at, at)
        return [answer.note for answer in person.due(5_000) if answer.abnormal]

    assert slips(1) == slips(1)
    assert len({tuple(slips(seed)) for seed in range(6)}) > 3


def test_nobody_can_ask_about_what_has_not_come():
    with pytest.raises(ValueError, match="item 5 has not come yet"):
        Operator(TRUTHFUL, np.zeros(9, dtype=np.int64), 0).ask(4, 5)


# Walks


class Spy:
    """Asks about everything and writes down what it hears, in order."""

    def __init__(self):
        self.heard = []

    def judge(self, item):
        self.heard.append(item)
        return Judged(True, "one", item)

    def asked(self, question):
        self.heard.append(f"asked {question}")

    def told(self, question, abnormal):
        self.heard.append(f"told {question}")


def test_a_verdict_comes_before_any_answer_about_it():
    spy = Spy()
    walk(spy, Operator(Habits("x", late=2), np.zeros(4, dtype=np.int64), 0), 4)
    assert spy.heard == [0, "asked 0", 1, "asked 1", "told 0", 2, "asked 2", "told 1", 3, "asked 3"]


def test_quality_counts_alarms_and_their_causes_once_each():
    walked = Walked(np.array([1, 1, 1, 0, 0], dtype=bool), ["a", "b", "b", "c", None], 2)
    found = quality(walked, np.array([1, 0, 0, 1, 0]))
    assert (found.alarms, found.alarm_causes, found.false_alarms, found.false_causes) == (3, 2, 2, 1)
    assert (found.precision, found.recall, found.f1) == (1 / 3, 1 / 2, 0.4)


def test_a_set_memory_told_the_truth_at_once_equals_the_obvious_loop():
    flow = random_flow()
    known, alarms, asked = {1, 2, 3, 4, 5}, [], set()
    for item, label in zip(flow.items, flow.labels, strict=True):
        news = frozenset(item) - known
        alarms.append(bool(news))
        if news:
            asked.add((news, label, len(alarms)) if label == 0 else (news, label, 0))
            known |= news if label == 0 else set()
    for every in (True, False):
        walked = walk(memories.SetMemory(flow, memories.events_of, every=every), operator(flow), len(flow))
        assert walked.alarms.tolist() == alarms
        assert walked.n_questions == (sum(alarms) if every else len(asked))


def test_accepting_what_was_seen_often_equals_the_obvious_loop():
    flow = random_flow(1)
    for sightings in (1, 10):
        known, seen, alarms = {1, 2, 3, 4, 5}, Counter(), []
        for item in flow.items:
            news = set(item) - known
            alarms.append(bool(news))
            for event in news:
                seen[event] += 1
                if seen[event] >= sightings:
                    known.add(event)
        memory = memories.Accepting(flow, memories.events_of, sightings)
        assert walk(memory, operator(flow), len(flow)).alarms.tolist() == alarms
    frozen = walk(memories.Accepting(flow, memories.events_of, None), operator(flow), len(flow))
    assert frozen.alarms.tolist() == [not {1, 2, 3, 4, 5}.issuperset(item) for item in flow.items]


def test_dictionaries_know_what_they_saw_whole():
    flow = flow_of([(1, 2), (2, 1, 1), (1, 3), (3, 1)], [0, 0, 1, 1])
    sets = walk(memories.SetMemory(flow, memories.event_set), operator(flow), 4)
    assert sets.alarms.tolist() == [False, False, True, True]
    vectors = walk(memories.SetMemory(flow, memories.count_vector), operator(flow), 4)
    assert vectors.alarms.tolist() == [False, True, True, True]
    assert (sets.n_questions, vectors.n_questions) == (1, 2)


def test_a_culprit_is_not_asked_about_again_in_other_company():
    flow = flow_of([(1, 9), (1, 9, 8), (9, 7), (8,)], [1, 1, 1, 0])
    walked = walk(memories.CulpritMemory(flow), operator(flow), 4)
    assert walked.alarms.tolist() == [True] * 4
    assert walked.n_questions == 2
    assert len({walked.causes[at] for at in (1, 2)}) == 1


def test_log_odds_survive_one_wrong_answer_and_a_set_memory_does_not():
    flow = flow_of([(1, 9)] * 12, [1] * 12)

    class WrongOnce(Operator):
        def ask(self, at, about, note=None):
            self._labels = np.full(len(flow), 0 if self.n_asked == 0 else 1)
            return super().ask(at, about, note)

    for make, kept in ((memories.LogOdds, True), (lambda one: memories.SetMemory(one, memories.events_of), False)):
        walked = walk(make(flow), WrongOnce(TRUTHFUL, flow.labels, 0), len(flow))
        assert walked.alarms[-1] == kept


def test_the_nearest_text_tells_what_an_unknown_event_is():
    texts = {1: "disk ready", 2: "machine check interrupt on node one", 3: "machine check interrupt on node two"}
    split = datasets.window_split("tiny", [(0, (1,))], [(1, (2,)), (1, (3,)), (0, (1,))], texts, 1)
    flow = streams.window_flow("BGL after 80 %", split)
    walked = walk(memories.NearestText(flow, 0.4), operator(flow), 3)
    assert (walked.alarms.tolist(), walked.n_questions) == ([True, True, False], 1)


def test_counts_differ_from_the_nearest_known_ones_by_their_cause():
    flow = flow_of([(1, 1, 2), (1, 1, 1, 2), (1, 2, 2, 2)], [0, 0, 1], known=((1, 2),))
    walked = walk(memories.NearestCounts(flow, 1.0), operator(flow), 3)
    assert walked.alarms.tolist() == [True, False, True]


def operator(flow, habits=TRUTHFUL, seed=0):
    return Operator(habits, flow.labels, seed)


# Flows


def test_sessions_come_in_order_of_their_start_with_the_last_lines_of_the_log_as_a_clock():
    log = tiny_log()
    flow = streams.session_flow("tiny", log)
    assert flow.groups == [f"blk_{block}" for block in range(3, 10)]
    assert len(flow.known) == 2  # block 1 is abnormal
    lines = flow.lines(0, 2)
    assert lines[-2:] == log.lines[-2:]
    assert [line.split()[1] for line in lines[:-2]].count("blk_3") == 3
    assert len(lines) == 8
    assert flow.lines(5, 7) == sorted(flow.lines(5, 7))  # the clock's own session is not there twice
    assert len(set(flow.lines(6, 7))) == len(flow.lines(6, 7))


def test_a_flow_cut_short_keeps_its_beginning():
    flow = streams.session_flow("tiny", tiny_log()).first(2)
    assert (len(flow), flow.groups, len(flow.labels)) == (2, ["blk_3", "blk_4"], 2)


# A watcher, played by a stand-in


class StandIn:
    """Alarms on windows with an event above 5 unless more answers than not say that it is normal.

    It asks about an alarm's cause until answers lead by two, and again only when it has come three times since.
    """

    def __init__(self):
        self.lead = Counter()
        self.n_answers = Counter()
        self.rows_told = []

    def stream(self):
        return StandInStream(dict(self.lead))

    def questions(self, verdicts):
        found = []
        for cause, came in Counter(verdicts.filter("abnormal")["cause"].to_list()).items():
            if abs(self.lead[cause]) < 2 and came >= (3 if self.n_answers[cause] else 1):
                row = int(verdicts.filter(pl.col("cause") == cause)["row"].min())
                found.append({"cause": cause, "item": cause, "row": row, "settles": came})
        return pl.DataFrame(found, schema={"cause": pl.String, "item": pl.String, "row": pl.Int64, "settles": pl.Int64})

    def feedback(self, data, labels):
        for row, label in zip(data.to_dicts(), labels, strict=True):
            self.lead[row["cause"]] += 1 if label else -1
            self.n_answers[row["cause"]] += 1
            self.rows_told.append((row["row"], row["cause"], label))


class StandInStream:
    def __init__(self, lead):
        self.lead = lead
        self.n_rows = 0

    def push(self, lines):
        size, verdicts = datasets.WINDOW, []
        events = [int(line.split()[1]) for line in lines]
        for start in range(0, len(events), size):
            worst = max(events[start : start + size], key=lambda e: (e > 5 and self.lead.get(str(e), 0) >= 0, e))
            abnormal = worst > 5 and self.lead.get(str(worst), 0) >= 0
            verdicts.append({"row": self.n_rows, "abnormal": abnormal, "cause": str(worst), "item": str(worst)})
            self.n_rows += 1
        schema = {"row": pl.Int64, "abnormal": pl.Boolean, "cause": pl.String, "item": pl.String}
        return pl.DataFrame(verdicts, schema=schema)

    def flush(self):
        return self.push([])

    def state_dict(self):
        return {"n_rows": self.n_rows}

    def load_state_dict(self, tree):
        self.n_rows = tree["n_rows"]


def padded(flow):
    """Windows of the stand-in have twenty lines."""
    items = [(item * datasets.WINDOW)[: datasets.WINDOW] for item in flow.items]
    return flow_of(items, flow.labels.tolist(), known=((1, 2, 3, 4, 5),))


HABITS = (
    TRUTHFUL,
    Habits("late", late=37, wrong=0.2, budget=3, day=90),
    Habits("at once, wrong", wrong=0.2, budget=3, day=90),
    Habits("soon", late=3, wrong=0.1, budget=1, day=40),
)


@pytest.mark.parametrize("habits", HABITS, ids=lambda one: one.name)
def test_a_watcher_walked_in_chunks_equals_one_walked_item_by_item(habits, monkeypatch):
    flow = padded(random_flow(2, n=250))
    found = {}
    for stride in ((1, 1), (7, 50), (128, 4_096)):
        monkeypatch.setattr(watched, "STRIDE", stride)
        watcher, person = StandIn(), operator(flow, habits, seed=5)
        walked = watched.walk_watcher(watcher, flow, person)
        found[stride] = (walked.alarms.tolist(), walked.causes, walked.n_questions, watcher.rows_told)
    assert found[1, 1] == found[7, 50] == found[128, 4_096]
    assert found[1, 1][2] > 5


def test_a_row_is_asked_about_once_and_nothing_is_asked_while_an_answer_is_awaited():
    flow = padded(random_flow(3, n=400))
    late = Habits("late", late=60)
    watcher, asked = StandIn(), []

    class Noted(Operator):
        def ask(self, at, about, note=None):
            asked.append((at, about, note.key))
            return super().ask(at, about, note)

    watched.walk_watcher(watcher, flow, Noted(late, flow.labels, 0))
    assert len({about for _, about, _ in asked}) == len(asked) > 5
    for at, about, cause in asked:
        assert about <= at
        assert not any(at - 60 < other <= at and (other, seen) != (at, about) for other, seen, c in asked if c == cause)


def test_answers_reach_the_watcher_when_they_are_in_and_change_only_what_comes_then():
    flow = flow_of([(9,) * 20] * 30, [0] * 30)
    walked = watched.walk_watcher(StandIn(), flow, operator(flow, Habits("late", late=10)))
    assert walked.alarms.tolist() == [True] * 10 + [False] * 20
    at_once = watched.walk_watcher(StandIn(), flow, operator(flow))
    assert at_once.alarms.tolist() == [True] + [False] * 29


# A watcher of jamais itself

KNOWN = ["request served to client", "cache refreshed", "session opened", "session closed", "disk check passed"]
LATER = [
    "backup finished",
    "link speed changed",
    "kernel panic fatal error",
    "node failed data corrupt",
    "timer synced",
]
LINES = [f"{text} {at}" for at, text in enumerate(KNOWN + LATER)]


def real_flow(begin, end, seed=5, early=80):
    """Windows of twenty lines; of the later texts each comes from some time on, 7 (`early`) and 8 being bad."""
    rng = np.random.default_rng(seed)
    windows, texts = [], dict(enumerate(LINES))
    for at in range(end):
        events = rng.integers(0, len(KNOWN), datasets.WINDOW).tolist()
        for later, start in zip(range(5, 10), (60, 100, early, 130, 150), strict=True):
            if at >= start and rng.random() < 0.15:
                events[int(rng.integers(0, datasets.WINDOW))] = later
        windows.append((int(7 in events or 8 in events), tuple(events)))
    known = [window for window in windows[:60] if not window[0]]
    return streams.window_flow("BGL after 80 %", datasets.window_split("tiny", known, windows[begin:], texts, 1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    pytest.importorskip("torch", reason="log lines are read by a small network")
    folder = tmp_path_factory.mktemp("watchers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jamais, "fit", quick_fit)
        return contest.fitted("jamais", real_flow(60, 200), folder)


def quick_fit(data, settings=None, fit=jamais.fit, **others):
    """Fit without training the encoder."""
    return fit(data, settings={**(settings or {}), "encoder": {"steps": 0}}, **others)


@pytest.mark.slow
def test_jamais_learns_from_a_truthful_person_in_few_questions(saved):
    flow = real_flow(60, 200)
    person = operator(flow)
    walked = watched.walk_watcher(jamais.load(saved), flow, person)
    frozen = walk(memories.Accepting(flow, memories.events_of, None), operator(flow), len(flow))
    told, untold = quality(walked, flow.labels), quality(frozen, flow.labels)
    assert told.f1 > untold.f1 + 0.1
    assert 0 < told.questions < 20


@pytest.mark.slow
def test_a_stream_of_a_newer_version_goes_on_where_the_old_one_stood(saved):
    flow = real_flow(60, 200)
    watcher = jamais.load(saved)
    old = watcher.stream()
    first = pl.concat([old.push(flow.lines(0, 70)), old.flush()])
    watcher.feedback(first.filter("abnormal").head(1), [0])
    new = watcher.stream()
    new.load_state_dict(old.state_dict())
    rest = pl.concat([new.push(flow.lines(70, 140)), new.flush()])
    assert rest["row"].to_list() == list(range(70, 140))
    whole = watcher.stream()
    expected = pl.concat([whole.push(flow.lines(0, 140)), whole.flush()]).filter(pl.col("row") >= 70)
    assert rest.equals(expected)


@pytest.mark.slow
def test_tenths_that_were_lived_through_come_back_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(jamais, "fit", quick_fit)
    flow = real_flow(0, 400, early=0)
    cut = [at * 40 for at in range(11)]
    tenths = [part_of(flow, begin, end) for begin, end in itertools.pairwise(cut)]
    history = old_tenths.History(tenths, tmp_path / "store")
    history.live()
    rows_ = list(history.rows())
    assert [row["tenth"] for row in rows_] == list(range(1, 11))
    assert all(0 <= float(row["ap_after_all"]) <= 1 for row in rows_ if row["ap_after_all"])
    back = history.way_back()
    assert (back["kept"], len(history.versions)) == ("ok", 8)
    history.frames[5][0] = history.frames[5][0].with_columns(pl.col("score") + 1e-12)
    assert history.way_back()["note"] == f"version {history.versions[5]}, tenth 1"


def part_of(flow, begin, end):
    windows = list(zip(flow.labels[begin:end].tolist(), flow.items[begin:end], strict=True))
    return streams.window_flow("tenth", datasets.window_split("tiny", [(0, (1,))], windows, flow.texts, 1))


# Rows


def test_a_promise_is_kept_only_if_every_part_of_it_is():
    cells = {"f1": "0.9600", "f1_worst": "0.8900", "questions": "120.0"}
    assert rows.judged(contest.Target(f1=0.95, questions=150), cells) == ("mean F1 >= 0.95; questions <= 150", "ok")
    assert rows.judged(contest.Target(f1=0.95, worst=0.9, questions=150), cells)[1] == "MISSED"
    assert rows.judged(contest.Target(questions=100), cells)[1] == "MISSED"


def test_targets_speak_of_rows_that_are_run():
    for flow, habits, method in contest.TARGETS:
        assert habits in {one.name for one in contest.OPERATORS[flow]}
        assert method in contest.TONE


def test_every_row_is_written_as_it_comes(tmp_path, monkeypatch, capsys):
    flow = padded(random_flow(4, n=60))
    monkeypatch.setattr(show, "_flows", lambda options: [flow])
    monkeypatch.setattr(contest, "fitted", lambda name, flow, cache: cache)
    monkeypatch.setattr(
        contest, "_walk_fitted", lambda name, flow, cache, op: watched.walk_watcher(StandIn(), flow, op)
    )
    parser = argparse.ArgumentParser()
    show.add_options(parser)
    out = tmp_path / "rows.csv"
    found = show.run(parser.parse_args(["--flows", "bgl", "--seeds", "2", "--out", str(out)]))
    with out.open() as file:
        assert file.readline().startswith("# made by: python -m ")
        table = list(csv.DictReader(file))
    assert len(table) == len(found) == 4 + 5 * 11
    assert {row["seeds"] for row in table if row["operator"] == LATE_AND_WRONG.name} == {"1", "2"}
    assert all(row["kept"] in ("ok", "MISSED") for row in table if row["target"])
    assert "promises missed" in capsys.readouterr().out


def test_the_command_in_a_file_names_no_folder_of_this_machine():
    given = ["--only", "logs", "--cache", "/somewhere/cache", "--seeds", "3", "--out", "/elsewhere/x.csv"]
    assert show._command(given) == "python -m benchmarks.quality.online --only logs --seeds 3"

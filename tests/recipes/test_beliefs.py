"""Are answers weighed as evidence that adds up, can be overturned, and survives a save?"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.recipes.logs.answers import suspects
from jamais.recipes.logs.answers.beliefs import MOST_ANSWERS, MOST_EVIDENCE, Answer, Beliefs, blame
from jamais.recipes.logs.answers.odds import AlarmLine, probability

LINE = AlarmLine(nats=9.0, step=math.log(19))


def told(*answers: bool) -> Beliefs:
    beliefs = Beliefs()
    for abnormal in answers:
        beliefs.add("key", Answer(abnormal, 1.0))
    return beliefs


def test_one_answer_moves_log_odds_as_far_as_it_can_be_trusted() -> None:
    assert told(True).moved("key") == pytest.approx(math.log(0.95 / 0.05))
    assert told(False).moved("key") == pytest.approx(-math.log(0.95 / 0.05))
    assert told(True, False).moved("key") == 0.0
    assert told().moved("key") == 0.0
    assert Beliefs(0.25).step == pytest.approx(math.log(3))


def test_many_agreeing_answers_can_be_overturned_by_a_few() -> None:
    beliefs = told(*[True] * 100)
    assert beliefs.evidence("key") == MOST_EVIDENCE
    assert len(beliefs.answers["key"].answers) == MOST_ANSWERS
    for _ in range(MOST_ANSWERS):
        beliefs.add("key", Answer(False, 1.0))
    assert beliefs.evidence("key") == -MOST_EVIDENCE


def test_a_second_answer_about_the_very_row_takes_the_place_of_the_first() -> None:
    beliefs = Beliefs()
    beliefs.add("key", Answer(True, 1.0, marks=("row 1", "row 2")))
    beliefs.add("key", Answer(False, 1.0, marks=("row 2",)))
    assert beliefs.evidence("key") == 0.0, "what was said of row 1 stands"
    beliefs.add("key", Answer(False, 1.0, marks=("row 1",)))
    assert beliefs.evidence("key") == -2.0
    assert beliefs.said_of("key", "row 1") is False
    assert beliefs.said_of("key", "row 9") is None


def test_a_state_of_an_older_version_is_a_strong_belief() -> None:
    beliefs = Beliefs()
    beliefs.load_state_dict({"a": [True, "disk gone"], "b": [False, "pinged"]})
    assert (beliefs.evidence("a"), beliefs.evidence("b")) == (2.0, -2.0)
    assert beliefs.is_abnormal("a")
    assert not beliefs.is_abnormal("b")
    assert beliefs.answers["a"].text == "disk gone"


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0), st.booleans()), max_size=40))
def test_beliefs_are_saved_to_the_bit(answers: list[tuple[bool, float, bool]]) -> None:
    beliefs, again = Beliefs(), Beliefs()
    for number, (abnormal, weight, named) in enumerate(answers):
        beliefs.add(f"key {number % 3}", Answer(abnormal, weight, number, (f"row {number}",), named), "text")
    again.load_state_dict(beliefs.state_dict())
    assert again.answers == beliefs.answers
    assert again.state_dict() == beliefs.state_dict()
    assert [again.moved_by_name(key) for key in again.answers] == [beliefs.moved_by_name(key) for key in again.answers]


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(-30.0, 30.0), min_size=1, max_size=8))
def test_blame_is_shared_by_likelihood(odds: dict[str, float]) -> None:
    shares = blame(odds)
    assert math.fsum(shares.values()) == pytest.approx(1.0)
    assert shares[max(odds, key=lambda key: odds[key])] == max(shares.values())


@given(st.floats(-20.0, 20.0), st.floats(0.0, 30.0))
def test_a_score_alarms_where_abnormal_is_likelier_than_normal(odds: float, counted: float) -> None:
    score = LINE.score(odds, counted)
    if odds > 0.0:
        assert score >= max(LINE.nats, counted)
    else:
        assert score <= counted
        assert score < LINE.nats or probability(odds) > 0.4999999


@given(st.lists(st.tuples(st.text("0123456789abcdef", min_size=4, max_size=4), st.floats(-9, 9)), max_size=12))
def test_suspects_are_read_as_they_were_written(found: list[tuple[str, float]]) -> None:
    kept = found[: suspects.MOST_NAMED]
    assert suspects.read(suspects.written(found)) == pytest.approx(dict(kept), abs=0.006)
    assert suspects.read(None) == suspects.read("") == {}
    assert suspects.read("ab:x :1") == {"ab": 0.0}

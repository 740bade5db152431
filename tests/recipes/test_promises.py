"""What may a user rely on, whatever the log: the alarm rate, secrets, scripts, known lines, odd input?"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference import small_log
from tests.reference.small_log import BEGIN, MODES, ODD, TINY, fitted, normal, odd_at, said, text, today

import jamais
from jamais.errors import InputError
from jamais.watcher import Watcher


def fit(lines: Any, **more: Any) -> Watcher:
    return jamais.fit(lines, kind="logs", settings=TINY, **more)


# --- the alarm rate


@pytest.mark.parametrize("mode", ["lines", "sessions", "window of lines", "window of time"])
def test_normal_rows_alarm_at_most_as_often_as_was_said(mode: str) -> None:
    found: dict[float, list[float]] = {0.02: [], 0.1: [], 0.3: []}
    for seed in range(8):
        watcher = jamais.fit(normal(400, seed=100 + seed), kind="logs", settings={**TINY, **MODES[mode]})
        later = watcher.score(normal(400, seed=200 + seed, begin=BEGIN + timedelta(hours=2)))
        for rate, shares in found.items():
            shares.append(float((later["p_value"] <= rate).mean()))  # type: ignore[arg-type]
    for rate, shares in found.items():
        # Each fit has its own luck: the mean over 8 fits may be off by some standard errors of a fit's share.
        n = {"lines": 450, "sessions": 120, "window of lines": 24, "window of time": 12}[mode]
        allowed = 4 * (rate * (1 - rate) / n / len(shares)) ** 0.5
        assert np.mean(shares) <= rate + allowed, (mode, rate, shares)


def test_p_values_of_lines_are_not_far_too_careful_either() -> None:
    watcher = fitted("sessions")
    later = watcher.score(normal(800, seed=31))
    assert 0.3 < later["p_value"].mean() < 0.9  # type: ignore[operator]


def test_a_frequent_line_never_alarms_however_often_it_is_repeated() -> None:
    watcher = fitted()
    watcher.set_alarm_rate(0.05)
    for line in {str(one.kind): str(one) for one in said(100, 1) if one.kind in ("start", "query", "done")}.values():
        assert not watcher.score([line] * 50)["abnormal"].any()


@pytest.mark.parametrize("method", ["knn"])
def test_an_exact_repeat_is_its_own_nearest(method: str) -> None:
    frame = fitted(method=method).score(normal(30))
    assert (frame["nearest"] == frame["template"]).all()


# --- the tone prior


def test_without_severity_nothing_speaks_of_tone() -> None:
    with_tone, without = fitted(), fitted(severity=False)
    lines = today(odd=(ODD, "INFO disk: volume sdb attached, everything is fine"))
    loud, plain = with_tone.score(lines).filter(pl.col("source") == "disk"), without.score(lines)
    assert "sounds like trouble" in loud["why"][0]
    assert not plain["why"].str.contains("sounds|trouble|tone").any()
    quiet = plain.filter(pl.col("source") == "disk")
    assert loud["score"][0] - loud["score"][1] > quiet["score"][0] - quiet["score"][1]


# --- scripts


SCRIPTS = {
    "Chinese": ("磁盘写入失败，设备已消失", "用户登录被拒绝，密码错误"),
    "mixed": ("写入 sdb 失败: device gone", "读取 sdb 失败: device gone"),
    "Arabic": ("فشل الكتابة على القرص", "تم رفض تسجيل الدخول"),
    "Greek": ("αποτυχία εγγραφής στον δίσκο", "η σύνδεση απορρίφθηκε"),
    "emoji": ("disk 💥💥 now", "disk 🔥🔥 now"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_lines_in_a_script_never_seen_alarm_and_differ(script: str) -> None:
    first, second = SCRIPTS[script]
    frame = fitted().score(today(odd=tuple(f"INFO disk: {one}" for one in (first, second, first))))
    odd = frame.filter(pl.col("source") == "disk")
    assert odd["abnormal"].all()
    one, two, again = odd["item"]
    assert one == again != two
    assert first in odd["why"][0]


def test_a_chinese_log_is_learned_like_any_other() -> None:
    lines = [
        f"{BEGIN + timedelta(seconds=k):%Y-%m-%d %H:%M:%S} 信息 用户 {k % 97} {'登录成功' if k % 3 else '退出系统'}"
        for k in range(400)
    ]
    watcher = fit(lines)
    assert not watcher.score(lines[-50:])["abnormal"].any()
    odd = watcher.score([*lines[-5:], f"{BEGIN:%Y-%m-%d %H:%M:%S} 信息 磁盘写入失败 7"])
    assert odd["abnormal"].to_list()[-1]


# --- secrets


SECRETS = ("hunter2xyz", "abcdefTOKENabcdef", "QWxhZGRpbjpvcGVu", "alice.smith@corp.example.com", "s3cr3tkeyvalue")


def leaky(seed: int, n: int = 600) -> list[str]:
    """Give lines of a careless service."""
    whispers = [
        "login user=bob password=hunter2xyz ok",
        "calling upstream with Authorization: Bearer abcdefTOKENabcdef done",
        "calling upstream with Authorization: Basic QWxhZGRpbjpvcGVu done",
        "mail sent to alice.smith@corp.example.com in time",
        "opened bucket api_key=s3cr3tkeyvalue fine",
        *[f"state ready mode={mode}" for mode in ("fast", "slow", "calm", "deep", "warm", "cold", "lazy")],
    ]
    rng = np.random.default_rng(seed)
    return [
        f"{BEGIN + timedelta(seconds=k):%Y-%m-%d %H:%M:%S} INFO web: req r{k // 3} {whispers[int(rng.integers(12))]}"
        for k in range(n)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_secrets_are_neither_shown_nor_stored(mode: str, tmp_path: Path) -> None:
    watcher = jamais.fit(leaky(0), kind="logs", settings={**TINY, **MODES[mode]}, out=tmp_path / "kept")
    watcher.set_alarm_rate(0.5)
    unseen = [
        f"{BEGIN + timedelta(seconds=900 + k):%Y-%m-%d %H:%M:%S} FATAL web: req r{900 + k} new: {what}"
        for k, what in enumerate(
            [
                "password=hunter2xyz",
                "Bearer abcdefTOKENabcdef",
                "Authorization: Basic QWxhZGRpbjpvcGVu",
                "bounced alice.smith@corp.example.com",
                '{"api_key": "s3cr3tkeyvalue"}',
                "state ready mode=alice.smith@corp.example.com",
            ]
        )
    ]
    lines = [*leaky(1, 60), *unseen, unseen[-1].replace("FATAL", "INFO").replace("new: ", "")]
    frame = watcher.score(lines)
    assert frame["abnormal"].any()
    shown = frame.write_json()
    watcher.learn(lines, trust="unknown")
    watcher.feedback(frame.filter("abnormal"), [1] * frame["abnormal"].sum())
    watcher.save()
    watcher = jamais.load(tmp_path / "kept")
    shown += "".join(str(one) for one in watcher.explain(lines)) + str(watcher.history())
    for secret in SECRETS:
        assert secret not in shown
        for path in (tmp_path / "kept").rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path.name


# --- odd input


def test_records_without_a_group_are_judged_alone_and_counted() -> None:
    watcher = fitted("sessions")
    alone = sum(one.group is None for one in said(500, 1))
    recipe: Any = watcher.recipe
    assert alone > 0
    assert recipe.facts.counts["without_group"] == alone
    lines = [odd_at(BEGIN, f"INFO gc: collected {k} pages") for k in range(5)]
    frame = watcher.score(lines)
    assert frame["group"].to_list() == [None] * 5
    assert frame["first_row"].to_list() == frame["last_row"].to_list() == list(range(5))
    assert not frame["abnormal"].any()


def test_a_group_is_named_by_group_one_by_names_or_by_the_whole_match() -> None:
    lines = [
        f"{BEGIN + timedelta(seconds=k):%Y-%m-%d %H:%M:%S} INFO a: job {k // 4} part {k % 2} ran" for k in range(200)
    ]
    for group_by, name in ((r"job (\d+)", "7"), (r"job \d+", "job 7"), (r"job (?P<a>\d+) part (?P<b>\d)", "7/0")):
        assert name in fit(lines, group_by=group_by).score(lines[:60])["group"].to_list()
    events = [f'{{"msg": "job ran", "trace": {{"id": "t{k // 4}"}}, "k": {k}}}' for k in range(200)]
    assert fit(events, group_by="trace.id").score(events[:8])["group"].to_list() == ["t0", "t1"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "window of time"])
def test_lines_without_times_are_judged_without_them(mode: str) -> None:
    bare = [f"{one.head}: {'req ' + one.group if one.group else ''} {one.text}" for one in said(200, 1)]
    watcher = jamais.fit(bare, kind="logs", settings={**TINY, **MODES[mode]})
    frame = watcher.score([*bare[:50], "ERROR disk: write failed on volume sdb, device vanished"])
    assert frame["time"].null_count() == len(frame)
    assert "sdb" in frame["why"].str.join(" ").item()
    assert not frame["why"].str.contains("silent").any()


def test_windows_of_time_need_times() -> None:
    bare = [f"{one.head}: {one.text}" for one in said(200, 1)]
    with pytest.raises(InputError, match="needs times"):
        fit(bare, window="10s")


@pytest.mark.parametrize("mode", MODES)
def test_a_header_without_a_time_does_no_harm(mode: str) -> None:
    header = "service build 7 starting up, options none"
    watcher = jamais.fit([header, *normal(150)], kind="logs", settings={**TINY, **MODES[mode]})
    plain = jamais.fit(normal(150), kind="logs", settings={**TINY, **MODES[mode]})
    n = 1 if mode in ("lines", "sessions") else 0
    assert abs(len(watcher.score([header, *today(40)])) - len(plain.score(today(40))) - n) <= 1
    frame = watcher.score([header, *today(40)])
    assert mode == "sessions" or not frame["why"].str.contains("silent").any()


@pytest.mark.parametrize("mode", MODES)
def test_lines_in_disorder_are_survived_and_counted(mode: str) -> None:
    lines = normal(200)
    rng = np.random.default_rng(0)
    shuffled = [lines[i] for i in np.argsort(np.arange(len(lines)) + rng.normal(0, 3, len(lines)))]
    watcher = jamais.fit(shuffled, kind="logs", settings={**TINY, **MODES[mode]})
    recipe: Any = watcher.recipe
    assert recipe.facts.counts["out_of_order"] > 0
    frame = watcher.score(shuffled)
    assert frame["abnormal"].mean() < 0.05  # type: ignore[operator]
    assert frame["row"].to_list() == list(range(len(frame)))


@pytest.mark.parametrize("mode", MODES)
def test_one_stamp_from_another_century_does_not_make_a_million_rows(mode: str) -> None:
    for stamp in ("1970-01-01 00:00:01.000", "2099-01-01 00:00:01.000"):
        lines = normal(150)
        lines.insert(60, f"{stamp} INFO web: started GET /items/7")
        watcher = jamais.fit(lines, kind="logs", settings={**TINY, **MODES[mode]})
        rows = len(watcher.score(lines))
        assert rows <= 3_000
        assert watcher.score(today(40))["abnormal"].any()


def test_bytes_that_are_no_text_are_survived_and_counted(tmp_path: Path) -> None:
    raw = "\n".join(normal(150)).encode() + b"\n2026-03-02 09:00:00.000 ERROR web: \xff\xfe broken \x00\n\n\n"
    path = tmp_path / "app.log"
    path.write_bytes(raw)
    watcher = fit(path)
    recipe: Any = watcher.recipe
    assert recipe.facts.counts["undecodable"] == 1
    assert recipe.facts.counts["nul_bytes"] >= 1
    assert recipe.facts.counts["blank"] >= 2
    assert watcher.score(path).height == len(normal(150)) + 1


def test_a_value_far_outside_the_usual_is_evidence() -> None:
    frame = fitted().score([odd_at(BEGIN, f"DEBUG db: req r1 query returned {k} rows") for k in (20, 50, 900_000)])
    assert frame["abnormal"].to_list() == [False, False, True]
    assert re.search(r"900,000.* normally 1–50", frame["why"][2]), frame["why"][2]
    assert frame["cause"][2] != frame["item"][2] == frame["item"][0]


def test_causes_bring_together_what_belongs_together() -> None:
    frame = fitted().score(today(odd=(ODD, ODD, "ERROR disk: quota exceeded for volume", ODD)))
    odd = frame.filter(pl.col("source") == "disk")
    one, two, three, four = odd["cause"]
    assert one == two == four != three


def test_the_first_record_that_is_odd_is_named_in_a_session() -> None:
    lines = text(said(40, 3))
    lines.insert(20, odd_at(BEGIN + timedelta(seconds=4), "ERROR web: req r300002 crashed badly"))
    (row,) = fitted("sessions").score(lines).filter(pl.col("group") == "r300002").iter_rows(named=True)
    assert row["line"] == 21
    assert row["why"].startswith("line 21 never seen: req r<*> crashed badly")
    assert row["level"] == "ERROR"
    assert row["nearest"] in small_log.fitted("sessions").recipe.parser.texts  # type: ignore[attr-defined]


def test_slots_are_summarised_for_as_many_templates_as_was_set() -> None:
    recipe: Any = jamais.fit(normal(60), kind="logs", settings={**TINY, "parsing.slot_templates": 2}).recipe
    for one in (recipe, recipe.learned(normal(60, seed=5))[0], type(recipe).from_state(recipe.state_dict())):
        assert len({row[0] for row in one.slots.state_dict()["rows"]}) == 2

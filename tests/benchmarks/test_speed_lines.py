"""Are the long logs of the speed benchmark like the real one, with fresh ids and a clock that goes on?"""

import itertools
import re

from benchmarks.speed import lines

HDFS = [
    "081109 203530 147 INFO x: Receiving block blk_-12 src: /10.0.0.1:1",
    "081109 203530 148 INFO x: Receiving block blk_34 src: /10.0.0.2:1",
    "081109 203539 149 INFO x: Deleting block blk_-12 file /d/blk_-12",
]
_HEAD = "nova.log.2017-05-16_13:53:08 2017-05-16"
_IDS = "[req-38101a0b-2096-447d-96ea-a692162415ae 113d3a99c3da401fbd62cc2caa5b96d2 - -]"
OPENSTACK = [
    f'{_HEAD} 23:59:58.008 1 INFO api {_IDS} "GET /v2" status: 200',
    f"{_HEAD} 23:59:59.500 1 INFO api {_IDS} done",
]


def test_the_first_repeat_is_the_real_log():
    assert list(lines.hdfs(3, HDFS)) == HDFS


def test_later_repeats_keep_sessions_together_under_ids_never_seen_before():
    made = list(lines.hdfs(9, HDFS))
    ids = [re.findall(r"blk_-?\d+", line) for line in made]
    for start in (0, 3, 6):
        assert ids[start] * 2 == ids[start + 2]
    assert len({block for found in ids for block in found}) == 6
    masked = [re.sub(r"blk_-?\d+", "B", line)[13:] for line in made]
    assert masked[:3] == masked[3:6] == masked[6:]


def test_time_goes_on_from_repeat_to_repeat():
    stamps = [line[:13] for line in lines.hdfs(9, HDFS)]
    assert stamps == sorted(stamps)
    assert stamps[3] == "081109 203540"


def test_every_uuid_at_every_place_is_new_and_has_the_shape_of_the_old_one():
    made = list(lines.uuid(6, OPENSTACK))
    shape = re.compile(r"req-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}) ([0-9a-f]{32}) ")
    found = [shape.search(line).groups() for line in made]
    assert len(set(itertools.chain(*found))) == 12
    assert [len(line) for line in made] == [len(line) for line in OPENSTACK] * 3


def test_the_clock_of_the_uuid_log_passes_midnight_and_file_names_stay():
    made = list(lines.uuid(4, OPENSTACK))
    assert made[2].startswith("nova.log.2017-05-16_13:53:08 2017-05-17 00:00:00.008 1 INFO")
    assert made[3].endswith("done")


def test_the_same_log_is_made_every_time():
    assert list(lines.uuid(6, OPENSTACK)) == list(lines.uuid(6, OPENSTACK))
    assert list(lines.hdfs(9, HDFS)) == list(lines.hdfs(9, HDFS))

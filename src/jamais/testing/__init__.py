"""Does a detector, a memory or a watcher keep its contract? Checks that run on any of them, given a way to make one.

    from jamais.testing import DETECTOR_CHECKS, DetectorCase

    @pytest.mark.parametrize("check", DETECTOR_CHECKS)
    def test_mine(check):
        check(DetectorCase(make=lambda: Mine(), rows=rows, more=more))

A check raises AssertionError with a sentence that says what was broken.
"""

from jamais.testing.bits import digest
from jamais.testing.detectors import DETECTOR_CHECKS, DetectorCase
from jamais.testing.memories import MEMORY_CHECKS, MemoryCase
from jamais.testing.watchers import WATCHER_CHECKS, WatcherCase

__all__ = [
    "DETECTOR_CHECKS",
    "MEMORY_CHECKS",
    "WATCHER_CHECKS",
    "DetectorCase",
    "MemoryCase",
    "WatcherCase",
    "digest",
]

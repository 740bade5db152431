"""Which records of a batch hold a value far outside the usual?"""

from __future__ import annotations

import re

import numpy as np

from jamais.parsing.secrets import hide_secrets
from jamais.parsing.slots import Probe, SlotTable
from jamais.sources.records import Records
from jamais.types import Codes, Floats

MOST_SCREENS = 8
"""Patterns searched for in a whole batch at once; beyond it, a look at each record costs less."""


class SlotWatch:
    """Looks at the slots of known templates that have usual values.

    Most batches hold nothing unusual, and then a search through the whole batch says so without looking at records.
    """

    def __init__(self, slots: SlotTable, n_known: int) -> None:
        found = ((event, slots.probe(event)) for event in range(n_known))
        self._probes: dict[int, Probe] = {event: probe for event, probe in found if probe is not None}
        self._screens: dict[bytes, re.Pattern[bytes]] = {
            pattern.pattern: pattern for probe in self._probes.values() for pattern in probe.patterns
        }

    def look(self, records: Records, events: Codes) -> tuple[Floats, dict[int, str]]:
        """Give what the slot values of each record are worth in nats `[n]`, and the reasons by record."""
        nats, why = np.zeros(len(events)), dict[int, str]()
        probes = self._loud(records.blob)
        if probes:
            wanted = np.isin(events, np.array(list(probes), dtype=events.dtype))
            raw = records.raw
            for i in np.flatnonzero(wanted).tolist():
                found = probes[int(events[i])](raw[i])
                if found is not None:
                    nats[i], why[i] = found[0], hide_secrets(found[1])  # the value is the line's own, unmasked
        return nats, why

    def _loud(self, blob: bytes) -> dict[int, Probe]:
        """Give the probes that may find something in a batch."""
        if len(self._screens) > MOST_SCREENS:
            return self._probes
        loud = {name for name, pattern in self._screens.items() if pattern.search(blob)}
        return {
            event: probe
            for event, probe in self._probes.items()
            if any(pattern.pattern in loud for pattern in probe.patterns)
        }

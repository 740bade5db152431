"""Which knobs does the parser have, in what unit, and why do they stand where they stand?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jamais.errors import SettingsError


@dataclass(frozen=True)
class ParsingSettings:
    """Say how text becomes template ids. The defaults need no knowledge of the system that wrote the log."""

    masks: tuple[tuple[str, str], ...] = ()
    """(name, regex): text that is a variable, shown as `<name>`; looked at before the built-in rules."""

    keep: tuple[str, ...] = ()
    """Regexes whose group 1 is a number that stays a word (a code), beside the built-in contexts."""

    values_to_vary: int = 5
    """Distinct words at one place, the rest being equal, that make the place variable. `Started`, `Paused`,
    `Resumed`, `Stopped` must stay four templates, so more than 4."""

    names_to_vary: int = 3
    """The same for names of things (`web-a`, `node_b.rack`), which are rarely words of the program."""

    similarity: float = 0.5
    """Share of words [0, 1] that must stay constant when a place turns variable: a template of nothing but
    variables would fit, and hide, everything."""

    max_words: int = 200
    """Words of a record that count for its identity: a stack trace is told by its head."""

    max_templates: int = 20_000
    """Templates ever born, aliases included, about 1 kB each; beyond, new lines join the likest one."""

    memo_capacity: int = 200_000
    """Lines without digits that each level of the memo holds, about 300 bytes each; the older half goes."""

    slot_templates: int = 5_000
    """Templates whose variable places are summarised, up to about 10 kB each."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.similarity <= 1.0:
            raise SettingsError(f"parsing.similarity is {self.similarity}: give a share between 0 and 1")
        for name in (
            "values_to_vary",
            "names_to_vary",
            "max_words",
            "max_templates",
            "memo_capacity",
            "slot_templates",
        ):
            if getattr(self, name) < 2:
                raise SettingsError(f"parsing.{name} is {getattr(self, name)}: give 2 or more")
        for name, pattern in self.masks:
            _check(f"masks ({name})", pattern, groups=0)
        for pattern in self.keep:
            _check("keep", pattern, groups=1)


def _check(where: str, pattern: str, groups: int) -> None:
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise SettingsError(f"parsing.{where}: {pattern!r} is no regular expression ({error})") from None
    if found < groups:
        raise SettingsError(f"parsing.{where}: {pattern!r} has no group; put the number to keep in ( )")

"""What is said of a row to a person: which channels make it unlike what is known, and what it is nearest to?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

NAMED = 3
"""Channels that a sentence names at most."""
WORTH = 0.05
"""Share from which on one is worth naming beside the first."""


def why(recipe: SeriesRecipe, channels: list[str], shares: list[float], nearest: int, cause: str) -> str:
    """Say why a row alarms."""
    told = [
        f"{name} {share:.0%}"
        for at, (name, share) in enumerate(zip(channels[:NAMED], shares, strict=False))
        if share >= WORTH or not at
    ]
    answer = recipe.answers.by_cause.get(cause)
    if answer is not None and answer.balance > 0:
        what = f"like the incident of {day(answer.when)} confirmed abnormal (cause {cause})"
    else:
        what = "unlike any remembered window"
    return f"{', '.join(told)}: {what}; nearest is {window(recipe, nearest)}"


def window(recipe: SeriesRecipe, last: int) -> str:
    """Name a window of what was learned by the rows it covers; `last` is the last of them, -1 where none is known."""
    if last < 0:
        return "none"
    return f"rows {max(0, last + 1 - recipe.banks.window):,}–{last:,} of what was learned"


def answered(recipe: SeriesRecipe, cause: str) -> str:
    """Say what was answered about a cause that does not alarm for it."""
    answer = recipe.answers.by_cause[cause]
    sure = "" if answer.settled(recipe.settings.answers) else ", one more answer would settle it"
    return f"like what was answered normal on {day(answer.when)}{sure}"


def day(when: int) -> str:
    """Write a time as the day it was on, UTC."""
    return f"{datetime.fromtimestamp(when / 1e6, UTC):%Y-%m-%d}"

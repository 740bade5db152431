"""The story of logs: from lines to verdicts."""

from jamais.recipes.logs.recipe import LogRecipe
from jamais.recipes.logs.settings import LogSettings

__all__ = ["LogRecipe", "LogSettings"]

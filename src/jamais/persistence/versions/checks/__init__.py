"""Is a store in order, and what is to be done where it is not? All of it only reads."""

from jamais.persistence.versions.checks.content import check_versions, plain_of
from jamais.persistence.versions.checks.examine import examine
from jamais.persistence.versions.checks.finding import ERROR, NOTE, WARNING, Finding, way_out, whole_versions

__all__ = ["ERROR", "NOTE", "WARNING", "Finding", "check_versions", "examine", "plain_of", "way_out", "whole_versions"]

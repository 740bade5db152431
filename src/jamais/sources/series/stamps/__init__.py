"""Stamps of a series: read from columns, and laid on one line of time."""

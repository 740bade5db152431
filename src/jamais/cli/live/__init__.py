"""Watching a log that is being written: its place, its alarms, its end."""

"""Alarms and people: of which cause alarms are, what was said of them, and what is worth asking."""

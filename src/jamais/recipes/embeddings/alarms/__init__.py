"""Alarms: of which cause they are, what people said of them, and what is worth asking."""

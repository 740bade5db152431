"""Alarms of a series: which rows are one anomaly, and what is said of it."""

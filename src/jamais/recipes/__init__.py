"""From file to verdict: one story for each kind of data."""

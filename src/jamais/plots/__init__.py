"""Pictures of verdicts; matplotlib is imported where something is drawn."""

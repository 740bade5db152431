"""Learn what is normal, and say what has never been seen."""

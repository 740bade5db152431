"""How fast is it, and how much RAM does it take? Peers always in the same run."""

"""Where do records come from? Files, pipes and iterables in, batches of records out."""

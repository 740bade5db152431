"""What can be typed after `jamais`? One file per command."""

# Over 10 files: as many as there are commands; each is looked up by its name and knows none of the others.

"""What can be typed after `jamais`? One file per command, so here are as many files as there are commands."""

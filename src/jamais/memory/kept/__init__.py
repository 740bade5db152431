"""What do all policies of a memory share? Rows with books, the table of exact repeats, and who is in reach."""

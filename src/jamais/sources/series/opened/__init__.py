"""What holds a series, opened: text in columns, arrays, tables."""

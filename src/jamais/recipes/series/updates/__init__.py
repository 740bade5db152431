"""What changes a watcher of a series, or should: more data, answers of people, normal life that moved."""

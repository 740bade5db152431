"""From a pass over data to what a person or a program reads of it."""

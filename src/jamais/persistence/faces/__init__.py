"""In which shapes does one state leave the house? A file, a text, a folder."""

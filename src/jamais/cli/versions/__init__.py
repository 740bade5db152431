"""What the commands about saved states do and print: look, compare, convert, go back, name, tidy up."""

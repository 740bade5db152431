"""Doors for the shell: parse, call one method, print."""

"""What does a saved state hold? Read from its header, whatever its size."""

from jamais.cli.versions.headers.header import ArrayHeader, Header, header_of
from jamais.cli.versions.headers.text import as_json, print_arrays, print_header

__all__ = ["ArrayHeader", "Header", "as_json", "header_of", "print_arrays", "print_header"]

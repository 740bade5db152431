"""What does `python -m jamais` do? The same as `jamais`."""

from __future__ import annotations

from jamais.cli.main import main

if __name__ == "__main__":
    main()

"""How does a picture get onto the disk: whole, the same bytes each time, and without a window?"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from jamais.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_class() -> type[Figure]:
    """Import matplotlib's figure alone, without pyplot: no window, no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as wrong:
        raise MissingExtraError("drawing", "plots") from wrong
    return Figure


def drawn(figure: Figure, suffix: str) -> bytes:
    """Give a figure as the bytes of a .png, or of an .svg for any other suffix."""
    picture = io.BytesIO()
    png = suffix == ".png"
    # Without a date the same picture gives the same bytes.
    with warnings.catch_warnings():
        # A name may be in a script that this font lacks; the .html pictures show it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(picture, format="png" if png else "svg", dpi=110, metadata=None if png else {"Date": None})
    return picture.getvalue()


def write_picture(path: Path, content: bytes) -> None:
    """Put a picture in the place of another, whole or not at all; raise `InputError` where that cannot be."""
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        work.write_bytes(content)
        work.replace(path)
    except OSError as wrong:
        work.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {wrong.strerror or wrong}") from wrong

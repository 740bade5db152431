"""What may be said about where a series is, and how is it read?"""

from __future__ import annotations

from dataclasses import dataclass

from jamais.settings import microseconds

LAYOUTS = ("auto", "wide", "long")
UNREADABLE = ("auto", "refuse", "missing")


@dataclass(frozen=True)
class SeriesReading:
    """Where the channels and stamps of a series are found, and how rows are laid on the line of time."""

    layout: str = "auto"
    """"wide": a column for each channel. "long": a line for each value (time, name, value). "auto": long where columns
    of these three meanings are named as usual, else wide."""
    time_column: str | None = None
    """Column of stamps. None: the one with a usual name (time, timestamp, date, …) or the first that holds stamps;
    empty text: there is none, rows are told apart by their order alone."""
    columns: tuple[str, ...] = ()
    """Channels, in this order. None given: all columns of numbers (long: all names), save labels, as `fit` saw them."""
    name_column: str | None = None
    """Long layout: column of the channels' names. None: metric, name, channel, … whichever is there."""
    value_column: str | None = None
    """Long layout: column of the values. None: value, val, … whichever is there."""
    array: str | None = None
    """Key of the values in an .npz. None: the only array that can be a series."""
    timezone: str = "UTC"
    """Zone of stamps that name none, such as Europe/Berlin."""
    time_format: str | None = None
    """How stamps are written, as strptime has it (%d.%m.%Y %H:%M). None: ISO and what else is common, by the first."""
    resample: str | None = None
    """Width of the grid on which values are averaged ("60s"). None: rows stay as they came; jitter harms little."""
    max_gap_rows: int = 512
    """Empty rows put in at most where stamps leave a gap: no window reaches over more, longer gaps count the same."""
    unreadable: str = "auto"
    """What becomes of a cell that is no number, a stamp that is none, a line of too few or many columns: "refuse" ends
    with an error that names the row; "missing" counts them, takes cells for missing and leaves such lines out. "auto"
    refuses in files and counts in streams: a watch that ends over one line cut short sees nothing more."""
    block_rows: int = 8_192
    """Rows read and scored at once: of 38 channels they take 2.5 MB."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(LAYOUTS)}")
        if self.unreadable not in UNREADABLE:
            raise ValueError(f"unreadable is one of {', '.join(UNREADABLE)}")
        if self.block_rows < 1 or self.max_gap_rows < 0:
            raise ValueError("block_rows is 1 or more and max_gap_rows 0 or more, for example 8192 and 512")
        if self.resample is not None:
            microseconds(self.resample)

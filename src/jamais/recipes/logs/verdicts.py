"""How do judged rows become verdicts? Here is the line that decides "this is abnormal"."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from jamais.detectors.calibration import Calibration
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.units.batch import Judged, short_hash
from jamais.types import NO_TIME, Bools, Floats, Ints

TIME = pl.Datetime("us", "UTC")


class Verdicts:
    """Turns scores into p-values, verdicts and reasons, as one frame per batch of rows."""

    def __init__(self, calibration: Calibration, alarm_rate: float, surprise: Surprise) -> None:
        self.calibration = calibration
        self.alarm_rate = alarm_rate
        self.surprise = surprise
        self._columns: tuple[int, pl.DataFrame] | None = None
        self._alone: list[str] = []

    def frame(self, judged: Judged) -> pl.DataFrame:
        """Give the verdicts of judged rows `[n]`, see the contract for the columns."""
        events = np.asarray(judged.event, dtype=np.int64)
        texts = self._events()[np.where(events < 0, len(self.surprise.lexicon), events)]
        item, cause = self._items(texts["id"], judged)
        score = self._told(judged, cause)
        p_value, extrapolated = self.calibration.p_value(score)
        abnormal = p_value <= self.alarm_rate
        columns: dict[str, Any] = {
            "row": judged.row,
            "score": score,
            "p_value": p_value,
            "p_extrapolated": extrapolated,
            "abnormal": abnormal,
            "why": self._why(judged, events, cause, abnormal),
            "item": item,
            "cause": cause,
            "time": pl.Series(np.where(judged.time == NO_TIME, 0, judged.time)).cast(TIME),
            "level": texts["level"],
            "source": texts["source"],
            "line": judged.line,
            "template": texts["text"],
            "nearest": self._nearest(texts["text"], events),
        }
        if judged.group is not None:
            columns["group"] = pl.Series(judged.group, dtype=pl.String)
            columns["first_row"] = np.asarray(judged.first_row)
            columns["last_row"] = np.asarray(judged.last_row)
        columns["suspects"] = self._suspects(judged, texts["suspects"])
        frame = pl.DataFrame(columns)
        untimed = judged.time == NO_TIME
        if untimed.any():
            frame = frame.with_columns(time=pl.when(pl.Series(~untimed)).then(pl.col("time")))
        return frame

    def empty(self, *, grouped: bool) -> pl.DataFrame:
        """Give a frame of no rows."""
        none = np.empty(0, dtype=np.int64)
        more: dict[str, Any] = {"group": [], "first_row": none, "last_row": none} if grouped else {}
        return self.frame(Judged(none, np.empty(0), none, none, none, **more))

    def _told(self, judged: Judged, cause: pl.Series) -> Floats:
        """Put answers of people in place of scores that are not those of one event, which were answered for already."""
        judgement = self.surprise.judgement
        if not judgement.begun:
            return judged.score
        score = judged.score.copy()
        loud = np.flatnonzero(score >= judgement.line.nats).tolist()
        for i in loud if judgement.sessions else [i for i in loud if i in judged.reasons]:
            shape = judged.item[i] if judged.item is not None else ""
            told = judgement.score_of_row(float(score[i]), judgement.moved(shape, cause[i]))
            score[i] = max(told, min(float(score[i]), judged.beside.get(i, 0.0)))
        return score

    def _suspects(self, judged: Judged, of_event: pl.Series) -> pl.Series:
        """Say what may be to blame: of a line its event, of other rows what they found."""
        if judged.group is None:
            return of_event
        if not judged.suspects:
            return pl.repeat("", len(judged), dtype=pl.String, eager=True)
        return pl.Series([judged.suspects.get(i, "") for i in range(len(judged))], dtype=pl.String)

    def _why(self, judged: Judged, events: Ints, cause: pl.Series, abnormal: Bools) -> pl.Series:
        """Explain abnormal rows; the others need no words."""
        why = [""] * len(judged)
        for i in np.flatnonzero(abnormal).tolist():
            reason = judged.reasons.get(i)
            shape = judged.item[i] if judged.item is not None else ""
            before = self.surprise.judgement.before(shape, cause[i]) if shape or reason is not None else ""
            text = self._line_why(int(events[i]), int(judged.line[i])) if reason is None else reason.text
            why[i] = f"{before}: {text}" if before and "confirmed abnormal before" not in text else text
        return pl.Series(why, dtype=pl.String)

    def _line_why(self, event: int, line: int) -> str:
        return f"line {line:,} {self.surprise.why(event)}" if event >= 0 else ""

    def _items(self, ids: pl.Series, judged: Judged) -> tuple[pl.Series, pl.Series]:
        """An item is what was seen, a cause what makes it abnormal: the same where that is one event."""
        items = ids
        if judged.item is not None:
            own = [shape or event for shape, event in zip(judged.item, ids.to_list(), strict=True)]
            items = pl.Series(own, dtype=pl.String)
        if not judged.reasons:
            return items, ids
        causes = ids.to_list()
        for i, reason in judged.reasons.items():
            kind, _, event = reason.cause.partition(":")
            causes[i] = short_hash(f"{kind}:{event}:{causes[i]}")
        return items, pl.Series(causes, dtype=pl.String)

    def _nearest(self, texts: pl.Series, events: Ints) -> pl.Series:
        unseen = np.flatnonzero(events >= self.surprise.lexicon.n_known)
        if not len(unseen):
            return texts
        nearest = texts.to_list()
        for i, text in zip(unseen.tolist(), self.surprise.nearest(events[unseen]), strict=True):
            nearest[i] = text
        return pl.Series(nearest, dtype=pl.String)

    def _each_alone(self) -> list[str]:
        """Write each event down as the one suspect of a line, if it is one."""
        suspicious = self.surprise.suspicious()
        for event in range(len(self._alone), len(self.surprise.lexicon)):
            self._alone.append(self.surprise.suspects([event]) if suspicious[event] else "")
        return self._alone

    def _events(self) -> pl.DataFrame:
        """A row of text columns per event, and one of blanks at the end for "no event"."""
        lexicon = self.surprise.lexicon
        if self._columns is None or self._columns[0] != len(lexicon):
            parts = [context.partition("\x1f") for context in lexicon.contexts]
            table = pl.DataFrame(
                {
                    "id": [*lexicon.ids, ""],
                    "text": [*lexicon.texts, ""],
                    "level": [*(part[0] for part in parts), ""],
                    "source": [*(part[2] for part in parts), ""],
                    "suspects": [*self._each_alone(), ""],
                },
                schema=dict.fromkeys(("id", "text", "level", "source", "suspects"), pl.String),
            )
            self._columns = (len(lexicon), table)
        return self._columns[1]

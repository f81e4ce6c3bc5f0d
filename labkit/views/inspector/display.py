"""What the inspector shows: numbers, the page of cut-outs, and one object large."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import wraps
from typing import Any

import ipywidgets as w
import numpy as np

from labkit.errors import InputError
from labkit.views.inspector import markup
from labkit.views.inspector.neighbours import field_svg
from labkit.views.inspector.objects import match_ids
from labkit.views.inspector.panels import Controls
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.rows import with_redshift
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.inspector.verdicts import Journal, Verdict

__all__ = ["Display", "reported"]

_THUMBNAIL_PX = 150
_MARKS = {"agree": "✓", "relabel": "→", "doubtful": "?", "note": "✎"}


def reported(handler: Callable) -> Callable:
    """Show what a user did wrong in the status line instead of raising it where nobody looks."""

    @wraps(handler)
    def wrapped(self: Display, *arguments: Any) -> None:
        try:
            handler(self, *arguments)
        except InputError as error:
            self.say_status(str(error), wrong=True)

    return wrapped


class Display(w.VBox):
    """Shows a state in its controls; nothing here reacts to a click.

    Attributes
    ----------
    state : ErrorState
        Right and wrong decisions.
    pictures : Pictures
        Of the Sample.
    journal : Journal or None
        Verdicts.
    selection : Selection
        Which objects are looked at.
    chosen : int
        Number of the object that is shown large, -1 for none.
    controls : Controls
        The widgets.
    """

    state: ErrorState
    pictures: Pictures
    journal: Journal | None
    selection: Selection
    chosen: int
    controls: Controls
    _busy: bool = False
    _seen: tuple[int, int] = (-1, 0)

    def say_status(self, words: str, *, wrong: bool = False) -> None:
        """Show a line of text under the verdicts."""
        kind = "lk-status lk-wrong" if wrong else "lk-status"
        self.controls.status.value = f'<div class="{kind}">{html.escape(words)}</div>'

    def _show(self) -> None:
        self._show_curve()
        self._show_summary()
        self._show_page()

    def _show_curve(self) -> None:
        objects, c = self.state.objects, self.controls
        c.curve.svg = markup.roc_svg(self.state)
        runs = f"mean of {objects.runs} runs" if objects.runs > 1 else "one run"
        words = f"{objects.experiment}, {runs} · {len(objects):,} objects · {self.state.positive} or not"
        c.head.value = f'<div class="lk-head"><b>Error inspection</b><span>{html.escape(words)}</span></div>'

    def _show_summary(self) -> None:
        """Counts, ratios and operating point; quick enough to follow the slider."""
        summary, c = self.state.summary, self.controls
        c.counts.value = markup.matrix(summary, self.state.positive) + markup.ratios(summary)
        known = np.isfinite([summary.fpr, summary.recall]).all()
        c.curve.point = [summary.fpr, summary.recall] if known else []
        for name, button in c.groups.items():
            button.description = f"{name} {summary.counts[name]:,}"
            (button.add_class if name == self.selection.group else button.remove_class)("lk-on")

    @property
    def _page(self) -> np.ndarray:
        return self.state.page(
            self.selection, self.controls.page.value - 1, size=self.controls.page_size.value
        )

    def _show_page(self, *, follow: int = -1) -> None:
        """The page that holds the object to follow, or else the present one."""
        c, size = self.controls, self.controls.page_size.value
        self._note_verdicts()  # another inspector may have the same file open
        members = self.state.members(self.selection)
        place = np.flatnonzero(members == follow) if follow >= 0 else np.array([])
        self._busy = True
        c.page.max = max(1, -(-len(members) // size))
        if len(place):
            c.page.value = int(place[0]) // size + 1
        self._busy = False
        c.pages.value = f"of {c.page.max:,} &nbsp; {len(members):,} objects"
        shown = self._page
        if len(shown):
            self.pictures.read(self.state.objects.row[shown])  # one read for the whole page
        c.sheet.columns = 6 if c.shown.value else 3 if len(self.pictures.styles) < 4 else 2
        c.sheet.empty = f"no {GROUPS[self.selection.group]}" + (" that match" if self.selection.text else "")
        c.sheet.cards = [self._card(int(index)) for index in shown]
        self._choose(follow if follow in shown else int(shown[0]) if len(shown) else -1)

    def _card(self, index: int) -> dict[str, Any]:
        objects, verdict = self.state.objects, self._verdict(index)
        row, name = int(objects.row[index]), str(objects.object_id[index])
        styles = [self.controls.shown.value] if self.controls.shown.value else self.pictures.main()
        label = str(self.state.catalogue["label"][row]) or "no label"
        foot = with_redshift(label, self.state.catalogue[row])
        if self.selection.sort not in ("confidence", "probability", "object_id", "label"):
            value = self.state.column(self.selection.sort)[index]
            foot += f" · {self.selection.sort} {f'{value:.4g}' if isinstance(value, float) else value}"
        return {
            "id": name,
            "probability": f"p {self.state.score[index]:.3f}",
            "foot": foot,
            "title": f"{name}: {label}" + (f"\n{markup.verdict_words(verdict)}" if verdict else ""),
            "verdict": verdict.verdict if verdict else "",
            "mark": _MARKS.get(verdict.verdict, "") if verdict else "",
            "pictures": [self.pictures.uri(row, style, size_px=_THUMBNAIL_PX) for style in styles],
        }

    def _choose(self, index: int) -> None:
        """Show one object large; -1 for none."""
        self.chosen, c = index, self.controls
        shown = self._page.tolist()
        c.sheet.chosen = shown.index(index) if index in shown else -1
        verdict = self._verdict(index) if index >= 0 else None
        self._busy = True
        c.note.value = verdict.note if verdict else ""
        if index >= 0:
            best = verdict.label if verdict and verdict.verdict == "relabel" else self.state.decided(index)
            c.label.value = best if best in c.label.options else c.label.value
        self._busy = False
        self._show_detail()

    def _show_detail(self) -> None:
        c, index = self.controls, self.chosen
        if index < 0:
            c.detail.value = ""
            return
        row = int(self.state.objects.row[index])
        target = self.state.positive if c.activation.value else None
        shots = markup.shots(
            self.pictures, row, shown=c.shown.value, contours=c.contours.value, target=target
        )
        facts = markup.facts(self.state, index, self.pictures, self._verdict(index))
        place = field_svg(self.state, index)
        c.detail.value = f'<div class="lk-detail">{shots}{place}{facts}</div>'

    def _note_verdicts(self) -> None:
        """Bring the journal's verdicts into the column that sorts and filters."""
        if self.journal is None:
            return
        self.journal.refresh()
        if self._seen == (self.journal.lines, id(self.state)):
            return
        self._seen = (self.journal.lines, id(self.state))
        column = np.full(len(self.state.objects), "none", dtype="U9")
        said = [verdict for verdict in self.journal.current.values() if verdict.counts]
        places = match_ids([verdict.object_id for verdict in said], self.state.objects.object_id)
        for place, verdict in zip(places, said, strict=True):
            if place >= 0:
                column[place] = verdict.verdict
        self.state.add_column("verdict", column)

    def _verdict(self, index: int) -> Verdict | None:
        if self.journal is None:
            return None
        found = self.journal.current.get(str(self.state.objects.object_id[index]))
        return found if found is not None and found.counts else None

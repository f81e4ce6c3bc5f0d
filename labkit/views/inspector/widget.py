"""The inspector as a widget: a thin layer of clicks and keys over `ErrorState`, `Pictures` and `Journal`."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import ipywidgets as w
import numpy as np
from astropy.table import Table

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import text
from labkit.views.inspector import markup
from labkit.views.inspector.facts import card, describe_object, verdict_words
from labkit.views.inspector.objects import gather
from labkit.views.inspector.panels import arrange, make_controls
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.inspector.styles import Style
from labkit.views.inspector.verdicts import Journal, Verdict

_QUIET_S = 0.15  # pictures follow the slider when it has rested for so long
_VERDICTS = {"a": "agree", "r": "relabel", "d": "doubtful"}


def _reporting(handler: Callable) -> Callable:
    """Show a user's mistake in the status line, until the next thing that works, instead of raising it."""

    @wraps(handler)
    def wrapped(self: Inspector, *arguments: Any) -> None:
        if self._depth == 0:
            self._failed = False
        self._depth += 1
        try:
            handler(self, *arguments)
        except InputError as error:
            self._failed = True
            self._show_status(str(error), wrong=True)
        finally:
            self._depth -= 1
        if self._depth == 0 and not self._failed:
            self._show_status(self._status)

    return wrapped


class Inspector(w.VBox):
    """Look through right and wrong decisions, and say what is true.

    Parameters
    ----------
    sample : Sample
        Holds the predicted objects; only the pixels of a page are read.
    predictions : Predictions
        Of one experiment or several, with any number of runs; probabilities are means over the runs.
    experiment : str, optional
        Which one to start with; the first by default.
    positive : str, optional
        The class that counts as a detection, against all others.
    threshold : float
        Probability above which an object counts as a detection.
    votes : Table, optional
        Volunteers' votes, with the column ``object_id``.
    activation : callable, optional
        See `Pictures`.
    verdicts : path, optional
        CSV to keep verdicts in; without it nothing can be judged.
    user : str, optional
        Who is looking; the login name by default.
    labels : sequence of str, optional
        What an object can be relabelled to; the labels of the catalogue and the classes by default.
    styles : sequence of Style, optional
        Display styles; by default those of the Sample's bands.
    page_size : int
        Objects per page.

    Attributes
    ----------
    state, pictures, journal, selection, chosen, controls
        Decisions, pictures, verdicts (or None), which objects are looked at, the number of the one that is
        shown large (-1 for none), and the widgets by name.

    Raises
    ------
    InputError
        If the Sample lacks predicted objects, a name is unknown, or the CSV cannot be written.
    """

    def __init__(
        self,
        sample: Sample,
        predictions: Predictions,
        *,
        experiment: str | None = None,
        positive: str | None = None,
        threshold: float = 0.5,
        votes: Table | None = None,
        activation: Callable[..., np.ndarray] | None = None,
        verdicts: str | Path | None = None,
        user: str | None = None,
        labels: Sequence[str] | None = None,
        styles: Sequence[Style] | None = None,
        page_size: int = 9,
    ) -> None:
        if page_size < 1:
            raise InputError(f"page_size must be at least 1, got {page_size}")
        self._sample, self._predictions, self._votes = sample, predictions, votes
        objects = gather(sample, predictions, experiment=experiment, votes=votes)
        self.state = ErrorState(
            objects, sample.catalogue, votes=votes, positive=positive, threshold=threshold
        )
        self.pictures = Pictures(sample, styles=styles, activation=activation)
        self.journal = None if verdicts is None else Journal(verdicts, user=user)
        self.selection, self.chosen = Selection(group="FP"), -1
        self._waiting: asyncio.TimerHandle | None = None
        self._busy, self._failed, self._depth, self._status = False, False, 0, ""
        self._seen = (-1, 0)  # lines of the journal that the column of verdicts holds, and of which state
        self._note_verdicts()
        known = [name for name in np.unique(sample.labels).tolist() if name]
        self.controls = make_controls(
            experiments=np.unique(text(predictions.table["experiment"])).tolist(),
            experiment=objects.experiment,
            classes=objects.classes,
            positive=self.state.positive,
            columns=self.state.columns,
            styles=list(self.pictures.styles),
            labels=list(labels or dict.fromkeys([*known, *objects.classes])),
            threshold=threshold,
            page_size=page_size,
        )
        super().__init__(arrange(self.controls), layout=w.Layout(width="100%"))
        self.add_class("labkit-inspector")
        self._connect()
        self._prepare_controls()
        self._show()

    def _connect(self) -> None:
        c = self.controls
        for name, button in c.groups.items():
            button.on_click(lambda _, name=name: self.choose_group(name))
        for control, action in {
            c.threshold: self._move_threshold,
            c.experiment: self._change_experiment,
            c.positive: self._change_positive,
            c.page: self._turn_to,
            c.note: self._take_note,
            c.contours: self._change_overlay,
            c.activation: self._change_overlay,
        }.items():
            control.observe(action, "value")
        for control in (c.sort, c.descending, c.text, c.shown, c.page_size):
            control.observe(self._change_selection, "value")
        c.back.on_click(lambda _: self.turn(-1))
        c.forward.on_click(lambda _: self.turn(1))
        for button, key in {c.agree: "a", c.relabel: "r", c.doubtful: "d", c.undo: "u", c.redo: "y"}.items():
            button.on_click(lambda _, key=key: self.press(key))
        c.sheet.listen(lambda content: self._pick(content))
        c.curve.listen(lambda content: self._point(content))
        c.keys.listen(lambda content: self._take_key(content))

    def _prepare_controls(self) -> None:
        c, unlabelled = self.controls, (self.state.objects.true < 0).any()
        c.experiment.layout.display = "" if len(c.experiment.options) > 1 else "none"
        c.positive.layout.display = "" if len(c.positive.options) > 2 else "none"
        for name in ("new", "rest"):
            c.groups[name].layout.display = "" if unlabelled else "none"
        c.activation.disabled = self.pictures.activation is None
        for control in (c.agree, c.relabel, c.doubtful, c.note, c.undo, c.redo, c.label):
            control.disabled = self.journal is None
        if self.journal is None:
            self._say("Verdicts are off: give verdicts='verdicts.csv' to keep them.")
        else:
            broken = f", {self.journal.broken} unreadable lines left out" if self.journal.broken else ""
            judged = sum(verdict.counts for verdict in self.journal.current.values())
            self._say(f"Verdicts go to {self.journal.path} ({judged} objects judged so far{broken}).")

    # What is looked at

    @_reporting
    def choose_group(self, name: str) -> None:
        """Show another of the groups."""
        self._select(group=name)

    def _select(self, **changes: Any) -> None:
        before = self.selection
        self.selection = Selection(**{**vars(before), **changes})
        try:
            self.state.members(self.selection)
        except InputError:
            self.selection = before
            raise
        self._to_first_page()
        self._show_summary()
        self._show_page()

    def _to_first_page(self) -> None:
        self._busy = True
        self.controls.page.value = 1
        self._busy = False

    @_reporting
    def _change_selection(self, _: Any) -> None:
        c = self.controls
        c.descending.description = "↓" if c.descending.value else "↑"
        self._select(sort=c.sort.value, descending=c.descending.value, text=c.text.value)

    @_reporting
    def _change_overlay(self, _: Any) -> None:
        self._show_detail()

    @_reporting
    def _change_experiment(self, change: Any) -> None:
        objects = gather(self._sample, self._predictions, experiment=change["new"], votes=self._votes)
        self._replace(ErrorState(objects, self._sample.catalogue, votes=self._votes,
                                 positive=self.state.positive, threshold=self.state.threshold))  # fmt: skip

    @_reporting
    def _change_positive(self, change: Any) -> None:
        self._replace(self.state.with_positive(change["new"]))

    def _replace(self, state: ErrorState) -> None:
        self.state = state
        self._note_verdicts()
        self._to_first_page()
        self._show()

    @_reporting
    def _move_threshold(self, change: Any) -> None:
        """Numbers at once, pictures when the slider rests."""
        self.state.threshold = change["new"]
        self._show_summary()
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            self._waiting = asyncio.get_running_loop().call_later(_QUIET_S, self._show_rested)
        except RuntimeError:  # no event loop: a script or a test
            self._show_rested()

    @_reporting
    def _show_rested(self) -> None:
        self._waiting = None
        self._to_first_page()
        self._show_page(follow=self.chosen)

    @_reporting
    def _point(self, content: Mapping[str, Any]) -> None:
        wanted = self.state.nearest_threshold(float(content["fpr"]), float(content["tpr"]))
        self.controls.threshold.value = wanted

    @_reporting
    def _turn_to(self, _: Any) -> None:
        if not self._busy:
            self._show_page()

    def turn(self, by: int) -> None:
        """Go some pages forward or back; the ends hold."""
        page = self.controls.page
        page.value = int(np.clip(page.value + by, 1, page.max))

    @_reporting
    def _pick(self, content: Mapping[str, Any]) -> None:
        shown = self._page
        if 0 <= int(content["pick"]) < len(shown):
            self._choose(int(shown[int(content["pick"])]))

    def _go(self, by: int) -> None:
        index = self.state.step(self.selection, self.chosen, by)
        if index in self._page:
            self._choose(index)
        else:
            self._show_page(follow=index)

    # Keys and verdicts

    @_reporting
    def _take_key(self, content: Mapping[str, Any]) -> None:
        """A key, unless it judges an object that is no longer the one that was on the screen."""
        key, seen = str(content.get("key", "")), str(content.get("object", ""))
        if key in _VERDICTS and self.chosen >= 0 and seen:
            present = str(self.state.objects.object_id[self.chosen])
            if seen != present:
                raise InputError(
                    f"not recorded: the verdict was for {seen}, now there is {present}; say it again"
                )
        self.press(key)

    @_reporting
    def press(self, key: str) -> None:
        """Do what a key stands for; buttons come here, too.

        Parameters
        ----------
        key : str
            a agree, r relabel, d doubtful, u undo, y redo, c contours, m activation, a digit picks
            the label, arrows and Home step through objects, PageUp and PageDown turn the page.
        """
        c = self.controls
        steps = {"ArrowRight": 1, "ArrowLeft": -1, "ArrowDown": c.sheet.columns, "ArrowUp": -c.sheet.columns}
        if key in steps:
            self._go(steps[key])
        elif key in ("PageDown", "PageUp"):
            self.turn(1 if key == "PageDown" else -1)
        elif key == "Home":
            self._to_first_page()
            self._show_page()
        elif key == "c":
            c.contours.value = not c.contours.value
        elif key == "m" and not c.activation.disabled:
            c.activation.value = not c.activation.value
        elif key.isdigit() and 0 < int(key) <= len(c.label.options):
            c.label.value = c.label.options[int(key) - 1]
        elif key in _VERDICTS:
            self._judge(_VERDICTS[key])
        elif key in ("u", "y"):
            self._take_back(key)

    def _judge(self, verdict: str, *, label: str | None = None, note: str | None = None) -> None:
        """Record a verdict on the chosen object; a note stays there, other verdicts may go on to the next."""
        if self.journal is None or self.chosen < 0:
            raise InputError("there is nothing to judge: choose an object and give verdicts=")
        index = self.chosen
        after = self.state.step(self.selection, index, 1)
        line = self.journal.say(
            str(self.state.objects.object_id[index]),
            verdict,
            label=self._label_of(index, verdict) if label is None else label,
            note=note,
            experiment=self.state.objects.experiment,
            threshold=self.state.threshold,
            probability=float(self.state.score[index]),
        )
        self._note_saved(line)
        stays = note is not None or not self.controls.advance.value
        self._show_page(follow=index if stays else after)

    def _label_of(self, index: int, verdict: str) -> str:
        """What the next training shall take: the new label, or the present one if the user agrees with it."""
        if verdict == "relabel":
            return str(self.controls.label.value)
        present = str(self.state.catalogue["label"][int(self.state.objects.row[index])])
        return (present or self.state.decided(index)) if verdict == "agree" else ""

    def _note_saved(self, line: Verdict) -> None:
        self._note_verdicts()
        assert self.journal is not None
        said, place = f"{line.object_id}: {verdict_words(line)}", f"{self.journal.path} at {line.time[11:19]}"
        self._say(f"{said}. Saved to {place} UTC.")

    def _take_back(self, key: str) -> None:
        if self.journal is None:
            raise InputError("there is nothing to undo: give verdicts=")
        line = self.journal.undo() if key == "u" else self.journal.redo()
        if line is None:
            self._say("Nothing to undo here." if key == "u" else "Nothing to redo here.")
            return
        self._note_saved(line)
        self._show_page(follow=self.state.objects.find(line.object_id))

    @_reporting
    def _take_note(self, change: Any) -> None:
        if self._busy or self.chosen < 0 or self.journal is None:
            return
        present = self._verdict(self.chosen)
        verdict, label = (present.verdict, present.label) if present else ("note", "")
        self._judge(verdict, label=label, note=change["new"])

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
        places = self.state.objects.find_all([verdict.object_id for verdict in said])
        for place, verdict in zip(places, said, strict=True):
            if place >= 0:
                column[place] = verdict.verdict
        self.state.add_column("verdict", column)

    def _verdict(self, index: int) -> Verdict | None:
        if self.journal is None:
            return None
        found = self.journal.current.get(str(self.state.objects.object_id[index]))
        return found if found is not None and found.counts else None

    # What is shown

    def _say(self, words: str) -> None:
        """Keep a line of text under the verdicts."""
        self._status = words
        self._show_status(words)

    def _show_status(self, words: str, *, wrong: bool = False) -> None:
        kind = "lk-status lk-wrong" if wrong else "lk-status"
        self.controls.status.value = f'<div class="{kind}">{html.escape(words)}</div>'

    def _show(self) -> None:
        c = self.controls
        c.curve.svg = markup.roc_svg(self.state)
        c.head.value = markup.headline(self.state, f"{self.state.positive} or not")
        self._show_summary()
        self._show_page()

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
        c = self.controls
        return self.state.page(self.selection, c.page.value - 1, size=c.page_size.value)

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
        styles = [c.shown.value] if c.shown.value else self.pictures.main()
        c.sheet.cards = [
            card(self.state, self.pictures, int(one), styles, self.selection.sort, self._verdict(int(one)))
            for one in shown
        ]
        self._choose(follow if follow in shown else int(shown[0]) if len(shown) else -1)

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
        facts = describe_object(self.state, index, self.pictures, self._verdict(index))
        place = markup.field_svg(self.state, index)
        c.detail.value = f'<div class="lk-detail">{shots}{place}{facts}</div>'

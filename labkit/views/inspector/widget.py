"""The inspector as a widget: a thin layer of clicks and keys over `ErrorState`, `Pictures` and `Journal`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as w
import numpy as np
from astropy.table import Table

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.inspector.display import reported
from labkit.views.inspector.judging import Judging
from labkit.views.inspector.objects import gather
from labkit.views.inspector.panels import arrange, build
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import ErrorState, Selection
from labkit.views.inspector.styles import Style
from labkit.views.inspector.verdicts import Journal

__all__ = ["Inspector"]

_QUIET_S = 0.15  # pictures follow the slider when it has rested for so long


class Inspector(Judging):
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
        See `labkit.views.inspector.pictures.Pictures`.
    verdicts : path, optional
        CSV to keep verdicts in; without it nothing can be judged.
    user : str, optional
        Who is looking; the login name by default.
    labels : sequence of str, optional
        What an object can be relabelled to; the labels of the catalogue and the classes by default.
    styles : sequence of Style, optional
        Display styles; by default those of the Sample's bands.
    page_size : int
        Objects a page.

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
        self.selection = Selection(group="FP")
        self.chosen = -1
        self._waiting: asyncio.TimerHandle | None = None
        self._note_verdicts()
        known = [name for name in np.unique(sample.labels).tolist() if name]
        self.controls = build(
            experiments=np.unique(np.asarray(predictions.table["experiment"], dtype=str)).tolist(),
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
            c.threshold: self._moved,
            c.experiment: self._changed_experiment,
            c.positive: self._changed_positive,
            c.page: self._turned,
            c.note: self._noted,
        }.items():
            control.observe(action, "value")
        for control in (c.sort, c.descending, c.text, c.shown, c.page_size):
            control.observe(self._changed_selection, "value")
        c.shown.observe(self._changed_overlay, "value")
        for control in (c.contours, c.activation):
            control.observe(self._changed_overlay, "value")
        c.back.on_click(lambda _: self.turn(-1))
        c.forward.on_click(lambda _: self.turn(1))
        for button, key in {c.agree: "a", c.relabel: "r", c.doubtful: "d", c.undo: "u", c.redo: "y"}.items():
            button.on_click(lambda _, key=key: self.press(key))
        c.sheet.listen(lambda content: self._picked(content))
        c.curve.listen(lambda content: self._pointed(content))
        c.keys.listen(lambda content: self._keyed(content))

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
            self.say_status("Verdicts are off: give verdicts='verdicts.csv' to keep them.")
        else:
            broken = f", {self.journal.broken} unreadable lines left out" if self.journal.broken else ""
            judged = sum(verdict.counts for verdict in self.journal.current.values())
            self.say_status(f"Verdicts go to {self.journal.path} ({judged} objects judged so far{broken}).")

    @reported
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

    @reported
    def _changed_selection(self, _: Any) -> None:
        c = self.controls
        c.descending.description = "↓" if c.descending.value else "↑"
        self._select(sort=c.sort.value, descending=c.descending.value, text=c.text.value)

    @reported
    def _changed_overlay(self, _: Any) -> None:
        self._show_detail()

    @reported
    def _changed_experiment(self, change: Any) -> None:
        objects = gather(self._sample, self._predictions, experiment=change["new"], votes=self._votes)
        self._replace(ErrorState(objects, self._sample.catalogue, votes=self._votes,
                                 positive=self.state.positive, threshold=self.state.threshold))  # fmt: skip

    @reported
    def _changed_positive(self, change: Any) -> None:
        self._replace(self.state.with_positive(change["new"]))

    def _replace(self, state: ErrorState) -> None:
        self.state = state
        self._note_verdicts()
        self._to_first_page()
        self._show()

    @reported
    def _moved(self, change: Any) -> None:
        """The threshold: numbers at once, pictures when it rests."""
        self.state.threshold = change["new"]
        self._show_summary()
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            self._waiting = asyncio.get_running_loop().call_later(_QUIET_S, self._rested)
        except RuntimeError:  # no event loop: a script or a test
            self._rested()

    @reported
    def _rested(self) -> None:
        self._waiting = None
        self._to_first_page()
        self._show_page(follow=self.chosen)

    @reported
    def _pointed(self, content: Mapping[str, Any]) -> None:
        wanted = self.state.nearest_threshold(float(content["fpr"]), float(content["tpr"]))
        self.controls.threshold.value = wanted

    @reported
    def _turned(self, _: Any) -> None:
        if not self._busy:
            self._show_page()

    def turn(self, by: int) -> None:
        """Go some pages forward or back; the ends hold."""
        page = self.controls.page
        page.value = int(np.clip(page.value + by, 1, page.max))

    @reported
    def _picked(self, content: Mapping[str, Any]) -> None:
        shown = self._page
        if 0 <= int(content["pick"]) < len(shown):
            self._choose(int(shown[int(content["pick"])]))

    def _go(self, by: int) -> None:
        index = self.state.step(self.selection, self.chosen, by)
        if index in self._page:
            self._choose(index)
        else:
            self._show_page(follow=index)

    @reported
    def _keyed(self, content: Mapping[str, Any]) -> None:
        """A key, unless it judges an object that is no longer the one that was on the screen."""
        key, seen = str(content.get("key", "")), str(content.get("object", ""))
        if key in ("a", "r", "d") and self.chosen >= 0 and seen:
            present = str(self.state.objects.object_id[self.chosen])
            if seen != present:
                raise InputError(
                    f"not recorded: the verdict was for {seen}, now there is {present}; say it again"
                )
        self.press(key)

    @reported
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
        elif key in ("a", "r", "d"):
            self._judge({"a": "agree", "r": "relabel", "d": "doubtful"}[key])
        elif key in ("u", "y"):
            self._take_back(key)

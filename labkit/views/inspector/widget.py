"""The inspector as a widget: a thin layer of clicks and keys over `ErrorState`, `Pictures` and `Journal`."""

import asyncio
import html
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets as w
import numpy as np

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.tables import text
from labkit.views.inspector import markup
from labkit.views.inspector.markup import card, describe_object, pieces, verdict_words
from labkit.views.inspector.panels import arrange, make_controls, reporting
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Objects, Selection, gather
from labkit.views.inspector.verdicts import Journal, Verdict

_QUIET_S = 0.15  # pictures follow the slider when it has rested for so long
_VERDICTS = {"a": "agree", "r": "relabel", "d": "doubtful"}


class Inspector(w.VBox):
    """Look through right and wrong decisions, and say what is true; see `inspect_errors`.

    ``state``, ``pictures``, ``journal`` (or None), ``selection`` and ``controls`` (the widgets by name) hold
    what there is, ``chosen`` the number of the object that is shown large, -1 for none.
    """

    def __init__(
        self, state: ErrorState, pictures: Pictures, journal: Journal | None, *, predictions: Predictions,
        page_size: int,
    ) -> None:  # fmt: skip
        if page_size < 1:
            raise InputError(f"page_size must be at least 1, got {page_size}")
        self.state, self.pictures, self.journal, self._predictions = state, pictures, journal, predictions
        self.selection, self.chosen = Selection(group="FP"), -1
        self._waiting: asyncio.TimerHandle | None = None
        self._busy, self._failed, self._depth, self._status = False, False, 0, ""
        self._seen = (-1, 0)  # lines of the journal that the column of verdicts holds, and of which state
        self._note_verdicts()
        known = [name for name in np.unique(pictures.sample.labels).tolist() if name]
        self.controls = make_controls(
            self.state,
            self.pictures,
            experiments=np.unique(text(predictions.table["experiment"])).tolist(),
            labels=list(dict.fromkeys([*known, *state.objects.classes])),
            page_size=page_size,
            judging=self.journal is not None,
        )
        super().__init__(arrange(self.controls), layout=w.Layout(width="100%"))
        self.add_class("labkit-inspector")
        self._connect()
        self._show_journal()
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
        c.sheet.listen(self._pick)
        c.curve.listen(self._point)
        c.keys.listen(self._take_key)

    def _show_journal(self) -> None:
        if self.journal is None:
            self._show_status("Verdicts are off: give verdicts='verdicts.csv' to keep them.")
        else:
            broken = f", {self.journal.broken} unreadable lines left out" if self.journal.broken else ""
            judged = sum(verdict.counts for verdict in self.journal.current.values())
            self._show_status(f"Verdicts go to {self.journal.path} ({judged} objects judged so far{broken}).")

    # What is looked at

    @reporting
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

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Change controls without answering to it."""
        self._busy = True
        yield
        self._busy = False

    def _to_first_page(self) -> None:
        with self._quiet():
            self.controls.page.value = 1

    @reporting
    def _change_selection(self, _: Any) -> None:
        c = self.controls
        c.descending.description = "↓" if c.descending.value else "↑"
        self._select(sort=c.sort.value, descending=c.descending.value, text=c.text.value)

    @reporting
    def _change_overlay(self, _: Any) -> None:
        self._show_detail()

    @reporting
    def _change_experiment(self, change: Any) -> None:
        votes, sample = self.state.votes, self.pictures.sample
        self._replace(
            gather(sample, self._predictions, experiment=change["new"], votes=votes), self.state.positive
        )

    @reporting
    def _change_positive(self, change: Any) -> None:
        self._replace(self.state.objects, change["new"])

    def _replace(self, objects: Objects, positive: str) -> None:
        catalogue, votes, threshold = self.state.catalogue, self.state.votes, self.state.threshold
        self.state = ErrorState(objects, catalogue, votes=votes, positive=positive, threshold=threshold)
        self._note_verdicts()
        self._to_first_page()
        self._show()

    @reporting
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

    @reporting
    def _show_rested(self) -> None:
        self._waiting = None
        self._to_first_page()
        self._show_page(follow=self.chosen)

    @reporting
    def _point(self, content: Mapping[str, Any]) -> None:
        place = float(content["fpr"]), float(content["tpr"])
        self.controls.threshold.value = self.state.nearest_threshold(*place)

    @reporting
    def _turn_to(self, _: Any) -> None:
        if not self._busy:
            self._show_page()

    def turn(self, by: int) -> None:
        """Go some pages forward or back; the ends hold."""
        page = self.controls.page
        page.value = int(np.clip(page.value + by, 1, page.max))

    @reporting
    def _pick(self, content: Mapping[str, Any]) -> None:
        shown, pick = self._page, int(content["pick"])
        if 0 <= pick < len(shown):
            self._choose(int(shown[pick]))

    def _go(self, by: int) -> None:
        index = self.state.step(self.selection, self.chosen, by)
        if index in self._page:
            self._choose(index)
        else:
            self._show_page(follow=index)

    # Keys and verdicts

    @reporting
    def _take_key(self, content: Mapping[str, Any]) -> None:
        """A key, unless it judges an object that is no longer the one that was on the screen."""
        key, seen = str(content.get("key", "")), str(content.get("object", ""))
        if key in _VERDICTS and self.chosen >= 0 and seen and seen != (now := self._id(self.chosen)):
            raise InputError(f"not recorded: the verdict was for {seen}, now there is {now}; say it again")
        self.press(key)

    @reporting
    def press(self, key: str) -> None:
        """Do what a key stands for; buttons come here, too.

        a agree, r relabel, d doubtful, u undo, y redo, c contours, m activation, a digit picks the label,
        arrows and Home step through objects, PageUp and PageDown turn the page.
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
            self._id(index),
            verdict,
            label=self._label_of(index, verdict) if label is None else label,
            note=note,
            experiment=self.state.objects.experiment,
            threshold=self.state.threshold,
            probability=float(self.state.score[index]),
        )
        self._note_saved(self.journal, line)
        stays = note is not None or not self.controls.advance.value
        self._show_page(follow=index if stays else after)

    def _label_of(self, index: int, verdict: str) -> str:
        """What the next training shall take: the new label, or the present one if the user agrees with it."""
        if verdict == "relabel":
            return str(self.controls.label.value)
        present = str(self.state.catalogue["label"][int(self.state.objects.row[index])])
        return (present or self.state.decided(index)) if verdict == "agree" else ""

    def _note_saved(self, journal: Journal, line: Verdict) -> None:
        self._note_verdicts()
        said = f"{line.object_id}: {verdict_words(line)}"
        self._show_status(f"{said}. Saved to {journal.path} at {line.time[11:19]} UTC.")

    def _take_back(self, key: str) -> None:
        if self.journal is None:
            raise InputError("there is nothing to undo: give verdicts=")
        line = self.journal.undo() if key == "u" else self.journal.redo()
        if line is None:
            self._show_status("Nothing to undo here." if key == "u" else "Nothing to redo here.")
            return
        self._note_saved(self.journal, line)
        self._show_page(follow=int(self.state.objects.find(line.object_id)))

    @reporting
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
        said = {key: one.verdict for key, one in self.journal.current.items() if one.counts}
        column, places = np.full(len(self.state.objects), "none", "U9"), self.state.objects.find([*said])
        column[places[places >= 0]] = np.array([*said.values()], dtype="U9")[places >= 0]
        self.state.add_column("verdict", column)

    def _id(self, index: int) -> str:
        return str(self.state.objects.object_id[index])

    def _verdict(self, index: int) -> Verdict | None:
        return None if self.journal is None else self.journal.of(self._id(index))

    # What is shown

    def _show_status(self, words: str, *, wrong: bool = False) -> None:
        """Write a line under the verdicts, and keep it there until the next unless it is about a mistake."""
        self._status = self._status if wrong else words
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
        c.counts.value = pieces.counts(self.state.positive, summary, GROUPS)
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
        with self._quiet():
            c.page.max = max(1, -(-len(members) // size))
            if len(place):
                c.page.value = int(place[0]) // size + 1
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
        with self._quiet():
            c.note.value = verdict.note if verdict else ""
            if index >= 0:
                best = verdict.label if verdict and verdict.verdict == "relabel" else ""
                best = best or self.state.decided(index)
                c.label.value = best if best in c.label.options else c.label.value
        self._show_detail()

    def _show_detail(self) -> None:
        c, index = self.controls, self.chosen
        if index < 0:
            c.detail.value = ""
            return
        row = int(self.state.objects.row[index])
        target = self.state.positive if c.activation.value else None
        options = {"shown": c.shown.value, "contours": c.contours.value, "target": target}
        shots = markup.shots(self.pictures, row, **options)
        facts = describe_object(self.state, index, self.pictures, self._verdict(index))
        place = markup.field_svg(self.state, index)
        c.detail.value = pieces.detail([shots, place, facts])

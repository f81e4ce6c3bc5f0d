"""Verdicts of the inspector: what a user says of the chosen object goes to the journal at once."""

from __future__ import annotations

from typing import Any

from labkit.errors import InputError
from labkit.views.inspector import markup
from labkit.views.inspector.display import Display, reported
from labkit.views.inspector.verdicts import Verdict

__all__ = ["Judging"]


class Judging(Display):
    """Records verdicts on the chosen object, takes them back, and goes on to the next."""

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
        self._saved(line)
        stays = note is not None or not self.controls.advance.value
        self._show_page(follow=index if stays else after)

    def _label_of(self, index: int, verdict: str) -> str:
        """What the next training shall take: the new label, or the present one if the user agrees with it."""
        if verdict == "relabel":
            return str(self.controls.label.value)
        present = str(self.state.catalogue["label"][int(self.state.objects.row[index])])
        return (present or self.state.decided(index)) if verdict == "agree" else ""

    def _saved(self, line: Verdict) -> None:
        self._note_verdicts()
        assert self.journal is not None
        words = markup.verdict_words(line)
        self.say_status(f"{line.object_id}: {words}. Saved to {self.journal.path} at {line.time[11:19]} UTC.")

    def _take_back(self, key: str) -> None:
        if self.journal is None:
            raise InputError("there is nothing to undo: give verdicts=")
        line = self.journal.undo() if key == "u" else self.journal.redo()
        if line is None:
            self.say_status("Nothing to undo here." if key == "u" else "Nothing to redo here.")
            return
        self._saved(line)
        self._show_page(follow=self.state.objects.find(line.object_id))

    @reported
    def _noted(self, change: Any) -> None:
        if self._busy or self.chosen < 0 or self.journal is None:
            return
        present = self._verdict(self.chosen)
        verdict, label = (present.verdict, present.label) if present else ("note", "")
        self._judge(verdict, label=label, note=change["new"])

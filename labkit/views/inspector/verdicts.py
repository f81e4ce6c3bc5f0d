"""The journal of verdicts: a CSV that only grows, one line per verdict, on disk before the next click.

Columns: ``object_id, verdict, label, note, experiment, threshold, probability, user, time`` (UTC). The
*last* line of an object counts. Undo writes a line, too: the object's earlier verdict again, or "withdrawn".
``label`` holds the class that the object shall have in the next training: the new one for "relabel", the
present one for "agree", nothing for the other verdicts, which change no label.
"""

import csv
import getpass
import io
import os
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from labkit.errors import InputError, need_choice
from labkit.sample.labels import VERDICTS

_WAIT_S = 10.0


@dataclass(frozen=True)
class Verdict:
    """One line of the journal; threshold and probability (of the positive class) are those of the moment."""

    object_id: str
    verdict: str  # one of `VERDICTS`
    label: str = ""  # class for the next training; empty where the verdict changes none
    note: str = ""
    experiment: str = ""  # whose predictions were looked at
    threshold: str = ""
    probability: str = ""
    user: str = ""
    time: str = ""  # UTC, ISO 8601

    @property
    def counts(self) -> bool:
        """Whether there is anything to show."""
        return self.verdict != "withdrawn"


COLUMNS = tuple(field.name for field in fields(Verdict))


class Journal:
    """Verdicts of a `user` (by default the login name) in a CSV, with undo and redo of what was said here.

    A line is appended in one write under a lock and forced to disk, so inspectors that are open on the same
    file lose no lines, and neither does a kernel that is killed. Lines that are there already count.
    """

    def __init__(self, path: str | Path, *, user: str | None = None) -> None:
        self.path = Path(path)
        self.user = user if user is not None else _login()
        self.current: dict[str, Verdict] = {}
        self.broken = 0
        self.lines = 0
        self._read_to = 0
        self._done: list[tuple[Verdict | None, Verdict]] = []  # what was there before, and what was said
        self._undone: list[tuple[Verdict | None, Verdict]] = []
        self._mine: dict[str, Verdict] = {}  # last line of each object that was written here
        self._prepare()
        self.refresh()

    def _prepare(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock(), self.path.open("a", encoding="utf-8") as file:
                if file.tell() == 0:
                    csv.writer(file, lineterminator="\n").writerow(COLUMNS)
        except OSError as error:
            raise InputError(
                f"verdicts must be a CSV that can be written, got {str(self.path)!r} ({error.strerror}); "
                "choose another path"
            ) from error

    def _lock(self) -> FileLock:
        return FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_WAIT_S)

    def refresh(self) -> bool:
        """Read what others have appended since; True if there was anything."""
        if self.path.stat().st_size == self._read_to:
            return False
        if self.path.stat().st_size < self._read_to:  # the file was replaced by a shorter one
            self.current, self._read_to, self.broken, self.lines = {}, 0, 0, 0
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            block = file.read()
        whole = block[: _end_of_records(block)]
        records = csv.reader(io.StringIO(whole.decode("utf-8", errors="replace"), newline=""))
        if self._read_to == 0 and whole:
            head = next(records, [])
            if tuple(head) != COLUMNS:
                raise InputError(
                    f"{str(self.path)!r} must be a journal of verdicts with the columns {','.join(COLUMNS)}, "
                    f"got {','.join(head)[:80]!r}; choose another path"
                )
        for cells in records:
            self._take(cells)
        self._read_to += len(whole)
        return bool(whole)

    def of(self, object_id: str) -> Verdict | None:
        """The verdict on an object, if there is one that counts."""
        found = self.current.get(object_id)
        return found if found is not None and found.counts else None

    def _take(self, cells: list[str]) -> None:
        if len(cells) != len(COLUMNS) or cells[1] not in VERDICTS:
            self.broken += bool("".join(cells).strip())
            return
        self.lines += 1
        self.current[cells[0]] = Verdict(**dict(zip(COLUMNS, cells, strict=True)))

    def say(
        self, object_id: str, verdict: str, *, label: str = "", note: str | None = None, experiment: str = "",
        threshold: float = float("nan"), probability: float = float("nan"),
    ) -> Verdict:  # fmt: skip
        """Record a verdict; it is on disk when this returns.

        "relabel" needs the `label`; without a `note` the object's earlier note stays.
        """
        need_choice("verdict", verdict, VERDICTS)
        if verdict == "relabel" and not label:
            raise InputError("label must name the new class for the verdict 'relabel', got nothing")
        numbers = [f"{value:.6g}" if value == value else "" for value in (threshold, probability)]
        line = Verdict(object_id, verdict, label, "", experiment, numbers[0], numbers[1], self.user)
        earlier, written = self._append(line, note=note)
        self._done.append((earlier, written))
        self._undone.clear()
        return written

    def undo(self) -> Verdict | None:
        """Take back the last verdict that was given here, by a line that restores the one before.

        None if there is nothing to undo; an InputError, and nothing undone, if someone else has judged the
        object since.
        """
        if not self._done:
            return None
        before, now = self._done[-1]
        back = before or replace(now, verdict="withdrawn", label="", note="")
        _, written = self._append(back, note=back.note, restores=True)
        self._undone.append(self._done.pop())
        return written

    def redo(self) -> Verdict | None:
        """Say again what was undone last; the counterpart of `undo`."""
        if not self._undone:
            return None
        _, again = self._undone[-1]
        _, written = self._append(again, note=again.note, restores=True)
        self._done.append(self._undone.pop())
        return written

    def _append(
        self, line: Verdict, *, note: str | None, restores: bool = False
    ) -> tuple[Verdict | None, Verdict]:
        try:
            with self._lock():
                self.refresh()
                earlier = self.current.get(line.object_id)
                if restores and earlier != self._mine[line.object_id]:
                    raise InputError(
                        f"{line.object_id} was judged again by {earlier.user if earlier else 'someone'}; "
                        "nothing was undone"
                    )
                kept = (earlier.note if earlier else "") if note is None else " ".join(note.split())
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                line = replace(line, note=kept, user=self.user, time=now)
                self._write(line)
                self._mine[line.object_id] = line
                self.refresh()
        except (OSError, Timeout) as error:
            raise InputError(
                f"the verdict was not saved to {str(self.path)!r} ({error}); free the file and say it again"
            ) from error
        return earlier, line

    def _write(self, line: Verdict) -> None:
        """One write for the whole line; a torn one of a killed writer is closed first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with self.path.open("r+b") as file:
            file.seek(self._read_to)  # all whole lines have been read
            if torn := file.read():
                text.write('"\n' if torn.count(b'"') % 2 else "\n")
            elif self._read_to == 0:
                writer.writerow(COLUMNS)
            writer.writerow(asdict(line).values())
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())


def _end_of_records(block: bytes) -> int:
    """Length of the whole records: line breaks inside quotes end none, so an id may hold some."""
    end = quotes = place = 0
    for line in block.split(b"\n")[:-1]:
        place, quotes = place + len(line) + 1, quotes + line.count(b'"')
        end = end if quotes % 2 else place
    return end


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no login name in some containers
        return "unknown"

"""What was read from a file of volunteers' answers, what was left out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from astropy.table import QTable

from labkit.votes import Answers

__all__ = ["Export", "ReadReport"]


@dataclass(frozen=True)
class ReadReport:
    """Count of every row of a file: kept, or left out for one named reason.

    Parameters
    ----------
    source : str
        Name of the file.
    rows : int
        Rows in the file, without the header.
    kept : int
        Classifications that were kept; ``rows`` is this and the sum of `dropped`.
    dropped : mapping of str to int
        Rows left out for each reason.
    remarks : mapping of str to int
        Rows with each oddity in their annotations; such rows are kept unless `dropped` says otherwise.
    versions : mapping of str to int
        Rows of each version of the chosen workflow.
    unknown_tasks, outside : mapping of str to int
        Tasks that the tree does not know; answers that it does not offer, as ``task: answer``.
    examples : mapping of str to tuple of str
        The first classification ids of each reason.
    """

    source: str
    rows: int
    kept: int
    dropped: Mapping[str, int]
    remarks: Mapping[str, int]
    versions: Mapping[str, int]
    unknown_tasks: Mapping[str, int]
    outside: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]

    def table(self) -> QTable:
        """One row a count: ``what``, ``which``, ``rows``, ``examples`` (classification ids)."""
        rows = [("read", self.source, self.rows, ""), ("kept", "", self.kept, "")]
        parts = {
            "left out": self.dropped,
            "remark": self.remarks,
            "workflow version": self.versions,
            "unknown task": self.unknown_tasks,
            "answer outside the tree": self.outside,
        }
        for what, counts in parts.items():
            for which, count in counts.items():
                shown = self.examples.get(which, ()) if what in ("left out", "remark") else ()
                rows.append((what, which, count, ", ".join(shown)))
        return QTable(rows=rows, names=("what", "which", "rows", "examples"))


@dataclass(frozen=True)
class Export:
    """What a file of volunteers' answers gave.

    Parameters
    ----------
    answers : Answers
        The answers.
    report : ReadReport
        What was left out, and why.
    """

    answers: Answers
    report: ReadReport

"""The simulated Hunt's answers as Zooniverse exports them: JSON in CSV, one row a classification."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.paths import atomic_file
from labkit.votes import DecisionTree

__all__ = ["COLUMNS", "DAYS", "VERSIONS", "write_export"]

#: Columns of a classification export.
COLUMNS = (
    "classification_id",
    "user_name",
    "user_id",
    "user_ip",
    "workflow_id",
    "workflow_name",
    "workflow_version",
    "created_at",
    "gold_standard",
    "expert",
    "metadata",
    "annotations",
    "subject_data",
    "subject_ids",
)
#: From the launch, 24 October 2018, to the end, 29 April 2019 (Kosiba et al. 2020, section 2).
DAYS = 187.0
#: Version of the workflow in the beta test, and from the launch on.
VERSIONS = ("4.9", "12.31")
_LAUNCH = np.datetime64("2018-10-24T12:00:00.000")
_WORKFLOW = (6868, "The Hunt for Galaxy Clusters")
_FIRST_CLASSIFICATION, _FIRST_SUBJECT, _FIRST_USER = 130_000_000, 25_000_000, 1_700_000
_SECONDS_A_QUESTION = 9.0
_ROWS = 50_000


def write_export(
    path: str | Path,
    schedule: Table,
    ways: NDArray[np.int64],
    *,
    tree: DecisionTree,
    users: np.ndarray,
    subjects: Table,
) -> None:
    """Write classifications, a piece at a time; the file appears when it is complete.

    Parameters
    ----------
    path : path
        CSV file to write; replaced if it is there.
    schedule : Table, n rows
        ``user`` and ``subject`` (numbers), ``day`` since the launch, ``logged_out``, ``beta``.
    ways : ndarray of int, shape (n, questions)
        Number of the answer to each question, -1 where it was not asked.
    tree : DecisionTree
        The questions.
    users : ndarray of str
        Names of the volunteers.
    subjects : Table
        ``object_id`` of each subject, and ``ra`` and ``dec`` if they are there.
    """
    different, kind = np.unique(ways, axis=0, return_inverse=True)
    annotations = [_quoted(_annotations(tree, way)) for way in different]
    data = [_quoted(text) for text in _subject_data(subjects)]
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, len(schedule), _ROWS):
            rows = slice(start, start + _ROWS)
            piece, kinds = schedule[rows], kind.ravel()[rows]
            lengths = (ways[rows] >= 0).sum(axis=1)
            file.writelines(_lines(start, piece, kinds, lengths, annotations, data, users))


def _lines(
    start: int,
    piece: Table,
    kinds: np.ndarray,
    lengths: np.ndarray,
    annotations: list[str],
    data: list[str],
    users: np.ndarray,
) -> Iterator[str]:
    end = _LAUNCH + (np.asarray(piece["day"]) * 86_400_000).astype("timedelta64[ms]")
    begin = end - (1000 * _SECONDS_A_QUESTION * (lengths + 0.5)).astype("timedelta64[ms]")
    times = zip(begin.astype(str), end.astype(str), strict=True)
    columns = (piece[name].tolist() for name in ("user", "subject", "logged_out", "beta"))
    flow, name = _WORKFLOW
    for number, (user, subject, logged_out, beta, (began, ended), kind) in enumerate(
        zip(*columns, times, kinds.tolist(), strict=True), start=_FIRST_CLASSIFICATION + start
    ):
        who = f"not-logged-in-{user:020x}," if logged_out else f"{users[user]},{_FIRST_USER + user}"
        meta = _quoted(f'{{"started_at":"{began}Z","finished_at":"{ended}Z","session":"{user:064x}"}}')
        created = f"{ended[:10]} {ended[11:19]} UTC"
        yield (
            f"{number},{who},,{flow},{name},{VERSIONS[not beta]},{created},,,{meta},"
            f"{annotations[kind]},{data[subject]},{_FIRST_SUBJECT + subject}\n"
        )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _annotations(tree: DecisionTree, way: NDArray[np.int64]) -> str:
    """The answers of one way, in the order in which they were given."""
    given: dict[str, Any] = {
        tree.tasks[question]: answer for question, answer in enumerate(way) if answer >= 0
    }
    questions = {question.task: question for question in tree.questions}
    return json.dumps(
        [
            {"task": task, "task_label": questions[task].text, "value": tree.choices[answer].text}
            for task, answer in sorted(given.items(), key=lambda item: tree.tasks.index(item[0]))
        ]
    )


def _subject_data(subjects: Table) -> Iterator[str]:
    places = [name for name in ("ra", "dec") if name in subjects.colnames]
    columns = [np.asarray(getattr(subjects[name], "value", subjects[name]), dtype=float) for name in places]
    for number, name in enumerate(subjects["object_id"]):
        place = {key: round(float(values[number]), 6) for key, values in zip(places, columns, strict=True)}
        yield json.dumps({str(_FIRST_SUBJECT + number): {"retired": None, "object_id": str(name), **place}})

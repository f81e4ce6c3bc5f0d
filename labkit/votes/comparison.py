"""Volunteers against experts, answer by answer, and what each step of the cleaning changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError, MissingDataError
from labkit.votes.answers import Answers
from labkit.votes.cleaning import drop_logged_out, drop_repeats
from labkit.votes.consensus import consensus

__all__ = ["agreement_with", "cleaning_steps"]


def agreement_with(answers: Answers, truth: Table, *, label: str = "label") -> QTable:
    """Fraction of the volunteers' single answers that agree with the experts, for each ending answer.

    Kosiba et al. 2020, section 5.1 and Fig. 6. An answer agrees if the expert's label is among those that the
    tree names for it (``experts``); ending answers without a counterpart have no fraction.

    Parameters
    ----------
    answers : Answers
        Answers of volunteers.
    truth : `~astropy.table.Table`
        ``object_id`` and the experts' label of each object; "" is no label.
    label : str
        Column with the experts' labels.

    Returns
    -------
    `~astropy.table.QTable`
        One row an ending answer: ``ending``, ``task``, ``class``, ``experts``, ``answers`` (votes on objects
        with a label), ``agreeing``, ``fraction`` (NaN without answers or counterpart).

    Raises
    ------
    MissingDataError
        If `truth` lacks a column, or shares no labelled object with the answers.
    InputError
        If `truth` lists an object twice.
    """
    if missing := [name for name in ("object_id", label) if name not in truth.colnames]:
        raise MissingDataError(f"truth must have the columns 'object_id' and {label!r}, it lacks {missing}")
    ids = [str(name) for name in truth["object_id"]]
    said = dict(zip(ids, (str(name) for name in truth[label]), strict=True))
    if len(said) != len(ids):
        raise InputError(f"truth must list each object once, got {len(ids) - len(said)} repeats; remove them")
    labels = np.array([said.get(name, "") for name in answers.subjects], dtype=str)
    if not (labels != "").any():
        raise MissingDataError("truth must share labelled objects with the answers; compare their ids")
    tree, rows = answers.tree, []
    for name, number in tree.endings.items():
        choice = tree.choices[number]
        experts = labels[answers.subject[answers.ending == number]]
        given = int((experts != "").sum())
        agreeing = int(np.isin(experts, choice.experts).sum())
        fraction = agreeing / given if given and choice.experts else np.nan
        task = tree.tasks[tree.question_of[number]]
        rows.append((name, task, choice.verdict, ", ".join(choice.experts), given, agreeing, fraction))
    names = ("ending", "task", "class", "experts", "answers", "agreeing", "fraction")
    return QTable(rows=rows, names=names)


def cleaning_steps(answers: Answers) -> QTable:
    """What dropping logged-out volunteers, dropping repeats, and weighting change, subject by subject.

    Parameters
    ----------
    answers : Answers
        Read with logged-out volunteers and repeats kept.

    Returns
    -------
    `~astropy.table.QTable`
        One row a subject: ``object_id``; for each step ("all", "logged_in", "first", "weighted")
        ``n_<step>`` votes, ``label_<step>`` and, with a positive class, ``soft_<step>``, its fraction;
        ``changed``, the steps that change the label, or "".
    """
    steps = {"all": answers, "logged_in": drop_logged_out(answers)}
    steps["first"] = steps["weighted"] = drop_repeats(steps["logged_in"])
    table = QTable({"object_id": np.array(answers.subjects, dtype=str)})
    for step, kept in steps.items():
        votes = consensus(kept, method="weighted" if step == "weighted" else "majority")
        table[f"n_{step}"] = votes["n_votes"]
        if answers.tree.positive:
            table[f"soft_{step}"] = votes[f"soft_{answers.tree.positive}"]
        table[f"label_{step}"] = votes["label"]
    changes = np.full(len(table), "", dtype=object)
    for before, after in pairwise(steps):
        changes[table[f"label_{before}"] != table[f"label_{after}"]] += f" {after}"
    table["changed"] = np.char.strip(changes.astype(str))
    return table

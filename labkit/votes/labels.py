"""Volunteers' verdicts beside the experts' labels, before and after cleaning, and as labels to train on."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError, MissingDataError
from labkit.predictions import Predictions
from labkit.tables import need_columns, numbers, rows_of, text
from labkit.taxonomy import BINARY, Scheme
from labkit.votes.answers import Answers, drop_logged_out, drop_repeats, retire
from labkit.votes.consensus import consensus

#: Validation objects of each class (Kosiba et al. 2020, Table 2, Zooniverse).
KOSIBA_VALIDATION: Mapping[str, int] = MappingProxyType({"cluster": 130, "non-cluster": 100})


def agreement_with(answers: Answers, truth: Table) -> QTable:
    """Fraction of the volunteers' single answers that agree with the experts, for each ending answer.

    Kosiba et al. 2020, section 5.1 and Fig. 6. An answer agrees if the expert's label ("" is none) is among
    those that the tree names for it (``experts``). One row per ending answer: ``ending``, ``task``,
    ``class``, ``experts``, ``answers`` (votes on objects with a label), ``agreeing``, ``fraction`` (NaN
    without answers or counterpart).
    """
    need_columns(truth, ("object_id", "label"), "truth")
    found = rows_of(truth["object_id"], answers.subjects)
    labels = np.array([*text(truth["label"]), ""])[found]  # -1, not found, is the last
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


def vote_predictions(votes: Mapping[str, Table], catalogue: Table) -> dict[str, Predictions]:
    """Votes (`consensus`, by the way to combine them) on objects, with the experts' word as the truth.

    `catalogue` has ``object_id``, the experts' ``label``, and ``split`` if the survey has it; labels are
    those of `labkit.taxonomy` where the votes are on clusters, else the classes of the votes. The soft labels
    are the probabilities; without votes, 0 for the positive class, or the same for more than two. On a tie of
    two, that of the positive class is next to one half on the side of the label. The truth is "" where the
    experts have none or the object is not in the catalogue.
    """
    split = text(catalogue["split"]) if "split" in catalogue.colnames else np.full(len(catalogue), "")
    found = {}
    for way, table in votes.items():
        classes = tuple(table.meta.get("classes", BINARY.classes))
        scheme = Scheme("votes", classes, {c: c for c in classes}, (), table.meta.get("positive"))
        scheme = BINARY if set(classes) == set(BINARY.classes) else scheme
        expert = scheme.decode(scheme.encode(text(catalogue["label"])))
        two = len(classes) == 2
        positive = scheme.positive or (classes[-1] if two else None)
        soft_names = [f"soft_{name}" for name in ([positive] if two else classes)]
        needed, hint = ("object_id", "label", *soft_names), "it must come from labkit.votes.consensus"
        need_columns(table, needed, f"votes[{way!r}]", hint=hint)
        row = rows_of(catalogue["object_id"], table["object_id"])
        truth, parts = (np.append(words, "")[row] for words in (expert, split))  # -1, unknown, is the last
        soft = np.column_stack([numbers(table[name]) for name in soft_names])
        if two:
            called, soft = text(table["label"]) == positive, np.nan_to_num(soft[:, 0])
            p = np.where(called, np.maximum(soft, np.nextafter(0.5, 1)), np.minimum(soft, 0.5))
            classes = (*(name for name in classes if name != positive), str(positive))
            soft = np.column_stack([1 - p, p])
        about: dict[str, Any] = {"classes": classes, "positive": positive, "experiment": way, "split": parts}
        filled = np.where(np.isnan(soft), 1 / len(classes), soft)
        found[way] = Predictions.from_arrays(table["object_id"], filled, true=truth, **about)
    return found


def cleaning_steps(answers: Answers) -> QTable:
    """What dropping logged-out volunteers, dropping repeats, and weighting change, subject by subject.

    One row per subject: ``object_id``; for each step ("all", "logged_in", "first", "weighted") ``n_<step>``
    votes, ``label_<step>`` and, with a positive class, ``soft_<step>``, its fraction; ``changed``, the steps
    that change the label, or "". The answers must still hold logged-out volunteers and repeats.
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


def retirement_table(
    answers: Answers,
    rules: Sequence[tuple[int, int | None]],
    *,
    truth: Table | None = None,
    method: Literal["weighted", "majority", "log-odds", "dawid-skene"] = "weighted",
) -> QTable:
    """What rules of retirement (`retire`) would have cost and given, replayed on votes as they came.

    One row for each pair of ``after`` and ``agreeing`` (0 for none): ``votes``, ``votes_per_subject``,
    ``same_label``, the share of subjects with the label that all their votes give, and, with a `truth`
    (``object_id``, ``label``), the ``accuracy`` on the subjects that it knows. All votes first (after 0).
    """
    every, rows = consensus(answers, method=method), []
    for after, agreeing in ((0, None), *rules):
        kept = retire(answers, after, agreeing=agreeing) if after else answers
        table = consensus(kept, method=method)
        seen, votes = table["n_votes"] > 0, int(table["n_votes"].sum())
        rows.append({"after": after, "agreeing": agreeing or 0, "votes": votes})
        rows[-1]["votes_per_subject"] = votes / seen.sum()
        rows[-1]["same_label"] = np.mean(table["label"][seen] == every["label"][seen])
        if truth is not None:
            known = vote_predictions({"votes": table[seen]}, truth)["votes"].known
            rows[-1]["accuracy"] = np.mean(known.decided == text(known.table["true"]))
    return QTable(rows=rows)


def training_labels(
    votes: QTable,
    rng: np.random.Generator,
    *,
    exclude: Collection[str] = (),
    validation: Mapping[str, int] = KOSIBA_VALIDATION,
) -> QTable:
    """Labels and splits for a training on what the volunteers said, in the order of `votes` (`consensus`).

    Objects on which networks are tested (`exclude`, ids), and those without a label, are left out. Of the
    others, as many of each class as asked for are drawn for validation, but at most a third of the class (and
    one of two); all the rest is for training. The paper gives the numbers (Table 2), not how the objects were
    chosen. Columns ``object_id``, ``label``, ``split`` ("train" or "validation"), ``soft_<class>``,
    ``n_votes`` and ``agreement``.
    """
    classes = tuple(votes.meta["classes"])
    if unknown := sorted(set(validation) - set(classes)):
        raise InputError(f"validation must name classes of the votes {classes}, got {unknown}")
    label = text(votes["label"])
    kept = (label != "") & ~np.isin(text(votes["object_id"]), list(exclude))
    if not kept.any():
        raise InputError(f"votes must hold labelled objects that are not excluded, got none of {len(votes)}")
    split = np.full(len(votes), "train", dtype="U10")
    for name in classes:
        rows = np.flatnonzero(kept & (label == name))
        most = max(len(rows) // 3, int(len(rows) > 1))
        split[rng.choice(rows, min(validation.get(name, 0), most), replace=False)] = "validation"
    table = QTable(votes["object_id", "label"][kept])
    table["split"] = split[kept]
    for name in (*(f"soft_{each}" for each in classes), "n_votes", "agreement"):
        table[name] = votes[name][kept]
    return table

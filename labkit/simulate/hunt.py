"""The simulated Hunt: volunteers classify the candidates of a simulated survey, and Zooniverse exports it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from numpy.random import Generator
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.paths import atomic_file
from labkit.sample import Sample
from labkit.simulate.numbers import check_whole, read_numbers
from labkit.simulate.volunteers import (
    KINDS,
    Evidence,
    Volunteers,
    assign,
    draw_volunteers,
    hunt_evidence,
    hunt_numbers,
)
from labkit.tables import numbers, text
from labkit.votes import DecisionTree, Weights, read_tree

_EXPORT = read_numbers("hunt")["export"]
_BATCH, _ROWS = 100_000, 50_000  # classifications that are answered, and written, at a time


@dataclass(frozen=True, eq=False)
class SimulatedHunt:
    """A simulated export, and what no real one tells."""

    path: Path  # the export
    rows: int  # classifications in it
    volunteers: Table  # ``user_name``, ``kind``, ``activity`` and ``skill_<task>`` of each volunteer

    def by_kind(self, weights: Weights) -> Table:
        """Share of the answers of each kind of volunteer that agree with the majority."""
        kind = dict(zip(self.volunteers["user_name"], self.volunteers["kind"], strict=True))
        kinds = np.array([kind.get(name, "") for name in weights.users])
        rows = []
        for name in KINDS:
            here = (kinds == name) & weights.given.any(axis=1)
            given, agreeing = weights.given[here].sum(axis=0), weights.agreeing[here].sum(axis=0)
            share = np.divide(agreeing, given, out=np.full(given.shape, np.nan), where=given > 0)
            rows.append((name, int(here.sum()), *share))
        return Table(rows=rows, names=("kind", "volunteers", *weights.tasks))


def simulate_hunt(
    survey: Sample | Table,
    seed: int | Generator,
    *,
    path: str | Path,
    n_volunteers: int = 1227,
    answers_per_object: int = 30,
    changes: Mapping[str, Mapping[str, float]] | None = None,
    tree: str | Path | DecisionTree = "hunt",
) -> SimulatedHunt:
    """Let simulated volunteers classify candidates, and write what Zooniverse would export.

    Each object is classified to the end by `answers_per_object` different volunteers who are logged in; the
    other classifications come on top. Answers follow from what an object physically is
    (`labkit.simulate.volunteers`), never from its label.

    Parameters
    ----------
    survey : Sample or Table
        Simulated survey or its catalogue; where it has a column ``in_hunt``, only those objects.
    seed : int or numpy.random.Generator
        Seed of everything random, or the generator to draw from, which goes on from there.
    path : path
        CSV file to write; replaced if it is there.
    n_volunteers : int
        Volunteers; 1,227 in Kosiba et al. (2020), section 2.
    answers_per_object : int
        Different volunteers for each object.
    changes : mapping, optional
        Other numbers than those of ``hunt.toml``, by group: what tempts volunteers to wrong answers
        ("biases"), what kind of volunteers there are ("crowd"), and what else the export holds ("disorder");
        for example ``{"crowd": {"malicious": 0.1}}``.
    tree : str, path or DecisionTree
        The questions, with the answers of the Hunt.

    Returns
    -------
    SimulatedHunt
        The export, and the volunteers' true skills.

    Raises
    ------
    InputError
        If a column is missing, the tree is not the Hunt's, no object is in the Hunt, or a number is out of
        range.
    """
    if not isinstance(seed, Generator):
        check_whole(0, seed=seed)
    check_whole(1, n_volunteers=n_volunteers, answers_per_object=answers_per_object)
    catalogue = survey.catalogue if isinstance(survey, Sample) else survey
    if "in_hunt" in catalogue.colnames:
        catalogue = catalogue[np.asarray(catalogue["in_hunt"], dtype=bool)]
    if not len(catalogue):
        raise InputError("survey must have objects in the Hunt, got none; simulate it with hunt=KOSIBA_HUNT")
    tree, rng = tree if isinstance(tree, DecisionTree) else read_tree(tree), np.random.default_rng(seed)
    assumed = hunt_numbers(changes)
    evidence = hunt_evidence(catalogue, tree, assumed["biases"], rng)
    volunteers = draw_volunteers(rng, n_volunteers, questions=len(tree.questions), crowd=assumed["crowd"])
    schedule = _schedule(rng, volunteers, len(catalogue), answers_per_object, assumed["disorder"])
    batches = (schedule[start : start + _BATCH] for start in range(0, len(schedule), _BATCH))
    ways = np.concatenate([_ways(rng, tree, evidence, volunteers, batch) for batch in batches])
    _write_export(path, schedule, ways, tree=tree, users=volunteers.names, subjects=catalogue)
    return SimulatedHunt(Path(path), len(schedule), volunteers.table(tree.tasks))


def _schedule(
    rng: Generator, volunteers: Volunteers, objects: int, per_object: int, disorder: Mapping[str, float]
) -> Table:
    """Who classifies what and when: one row per classification, in the order of time."""
    user = assign(rng, volunteers.activity, objects=objects, per_object=per_object).ravel()
    end = _EXPORT["days"]
    regular = _rows(user, np.repeat(np.arange(objects), per_object), rng.uniform(0, end, len(user)))
    chance = volunteers.activity / volunteers.activity.sum()
    parts = [regular]
    for name in ("logged_out", "unfinished", "beta"):
        number = round(disorder[name] * len(regular))
        days = rng.uniform(-30, -5, number) if name == "beta" else rng.uniform(0, end, number)
        who = rng.choice(len(volunteers), number, p=chance)
        parts.append(_rows(who, rng.integers(objects, size=number), days, **{name: True}))
    again = regular[rng.choice(len(regular), round(disorder["repeats"] * len(regular)), replace=False)]
    again["day"] += rng.exponential(3.0, len(again))
    schedule = vstack([*parts, again])
    return schedule[np.argsort(schedule["day"], kind="stable")]


def _rows(user: np.ndarray, subject: np.ndarray, day: np.ndarray, **marks: bool) -> Table:
    rows = Table({"user": user, "subject": subject, "day": day})
    for name in ("logged_out", "unfinished", "beta"):
        rows[name] = np.full(len(rows), marks.get(name, False))
    return rows


def _ways(
    rng: Generator, tree: DecisionTree, evidence: Evidence, volunteers: Volunteers, schedule: Table
) -> NDArray[np.int64]:
    """Answer to each question on each classification's way, -1 off the way, shape (n, questions)."""
    user, subject = np.asarray(schedule["user"]), np.asarray(schedule["subject"])
    odds = evidence.odds[subject] + volunteers.skill[user][:, tree.question_of] * evidence.right[subject]
    odds = volunteers.trust[user][:, None] * odds + rng.gumbel(size=odds.shape)
    ways = np.full((len(user), len(tree.questions)), -1)
    at = np.zeros(len(user), dtype=np.int64)  # number of the question that is asked next, -1 after the end
    after = np.array([tree.tasks.index(choice.next) if choice.next else -1 for choice in tree.choices])
    while (at >= 0).any():
        for number in np.unique(at[at >= 0]):
            here = np.flatnonzero(at == number)
            offered = np.flatnonzero(tree.question_of == number)
            ways[here, number] = offered[odds[np.ix_(here, offered)].argmax(axis=1)]
            at[here] = after[ways[here, number]]
    # Some stop before their ending answer, at the earliest before the first.
    steps = np.cumsum(ways >= 0, axis=1)
    kept = np.floor(rng.random(len(ways)) * steps[:, -1])
    return np.where(np.asarray(schedule["unfinished"])[:, None] & (steps > kept[:, None]), -1, ways)


def _write_export(
    path: str | Path,
    schedule: Table,
    ways: NDArray[np.int64],
    *,
    tree: DecisionTree,
    users: np.ndarray,
    subjects: Table,
) -> None:
    """Write classifications as Zooniverse exports them, JSON in CSV; the file appears when it is complete.

    `ways` (n, questions) holds the number of the answer to each question, -1 where it was not asked.
    """
    different, kind = np.unique(ways, axis=0, return_inverse=True)
    annotations = np.array([_quoted(_annotations(tree, way)) for way in different], dtype=object)
    annotations = annotations[kind.ravel()]
    data = [_quoted(text) for text in _subject_data(subjects)]
    lengths = (ways >= 0).sum(axis=1)
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(_EXPORT["columns"]) + "\n")
        for start in range(0, len(schedule), _ROWS):
            rows = slice(start, start + _ROWS)
            file.writelines(_lines(start, schedule[rows], annotations[rows], lengths[rows], data, users))


def _lines(
    start: int, piece: Table, annotations: np.ndarray, lengths: np.ndarray, data: list[str], users: np.ndarray
) -> Iterator[str]:
    end = np.datetime64(_EXPORT["launch"]) + (np.asarray(piece["day"]) * 86_400_000).astype("timedelta64[ms]")
    begin = end - (1000 * _EXPORT["seconds_per_question"] * (lengths + 0.5)).astype("timedelta64[ms]")
    columns = (piece[name].tolist() for name in ("user", "subject", "logged_out", "beta"))
    rows = zip(*columns, begin.astype(str), end.astype(str), annotations, strict=True)
    for number, (user, subject, logged_out, beta, began, ended, given) in enumerate(
        rows, start=_EXPORT["first_classification"] + start
    ):
        who = f"not-logged-in-{user:020x}," if logged_out else f"{users[user]},{_EXPORT['first_user'] + user}"
        flow = f"{_EXPORT['workflow_id']},{_EXPORT['workflow_name']},{_EXPORT['versions'][not beta]}"
        meta = _quoted(f'{{"started_at":"{began}Z","finished_at":"{ended}Z","session":"{user:064x}"}}')
        created = f"{ended[:10]} {ended[11:19]} UTC"
        subject_id = _EXPORT["first_subject"] + subject
        yield f"{number},{who},,{flow},{created},,,{meta},{given},{data[subject]},{subject_id}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _annotations(tree: DecisionTree, way: NDArray[np.int64]) -> str:
    """The answers of one way, in the order in which they were given."""
    given = [(tree.questions[row], tree.choices[answer]) for row, answer in enumerate(way) if answer >= 0]
    return json.dumps(
        [
            {"task": question.task, "task_label": question.text, "value": choice.text}
            for question, choice in given
        ]
    )


def _subject_data(subjects: Table) -> Iterator[str]:
    places = {name: numbers(subjects[name]) for name in ("ra", "dec") if name in subjects.colnames}
    for row, name in enumerate(text(subjects["object_id"]).tolist()):
        place = {key: round(float(values[row]), 6) for key, values in places.items()}
        about = {"retired": None, "object_id": name, **place}
        yield json.dumps({str(_EXPORT["first_subject"] + row): about})

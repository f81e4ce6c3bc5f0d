"""Predictions and Estimates: tidy tables of class probabilities, and of numbers with their widths.

Every measure, figure and comparison starts from them, whether a network, a forest or volunteers gave them.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError, MissingDataError, boundary, need_choice
from labkit.tables import need_columns, numbers, read_catalogue, rows_of, text, write_table


class Run(NamedTuple):
    """What one set of predictions came from."""

    experiment: str
    seed: int
    fold: int

    @property
    def name(self) -> str:
        """In words, such as "CN-E, seed 0"."""
        return f"{self.experiment}, seed {self.seed}" + (f", fold {self.fold}" if self.fold >= 0 else "")


_RUN = ("object_id", "experiment", "seed", "fold", "split")
_LOG = "log "
#: In a folder of predictions in parts: which files they are, in order; there when all are.
PARTS = "parts.json"


def target_column(target: str) -> tuple[str, bool]:
    """Catalogue column of a target, and whether its logarithm to base 10 is meant: ``"log t_cool"``."""
    return target.removeprefix(_LOG), target.startswith(_LOG)


def _run_columns(
    object_id: ArrayLike, experiment: str, seed: int, fold: int, split: str | Sequence[str] | np.ndarray
) -> Table:
    """The columns that say which objects and which run, of one run."""
    ids = text(object_id)
    if len(np.unique(ids)) != len(ids):
        raise InputError("object_id must be unique within a run")
    table = Table({"object_id": ids})
    table["experiment"] = np.full(len(ids), experiment, dtype=f"U{max(1, len(experiment))}")
    table["seed"], table["fold"] = (np.full(len(ids), number, dtype=np.int64) for number in (seed, fold))
    table["split"] = np.broadcast_to(text(split), len(ids)).copy()
    return table


@dataclass(frozen=True)
class RunTable(ABC):
    """What `Predictions` and `Estimates` share: rows of objects by runs.

    ``table.meta["made"]`` records what made them, see `labkit.learn.predict`; it is saved, and tables that
    are joined have the records of all.
    """

    table: Table

    def __len__(self) -> int:
        return len(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    @property
    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """What must be equal for tables to be joined; it is saved with them."""

    @property
    @abstractmethod
    def known(self) -> Self:
        """The rows whose truth is known."""

    def select(
        self,
        mask: np.ndarray | None = None,
        *,
        split: str | None = None,
        experiment: str | None = None,
        seed: int | None = None,
        fold: int | None = None,
    ) -> Self:
        """The rows that meet every condition given."""
        keep = np.ones(len(self), dtype=bool) if mask is None else np.asarray(mask, dtype=bool).copy()
        for name, value in {"split": split, "experiment": experiment, "seed": seed, "fold": fold}.items():
            if value is not None:
                keep &= np.asarray(self.table[name] == value)
        return replace(self, table=self.table[keep])

    def runs(self) -> Iterator[tuple[Run, Self]]:
        """Each run with its predictions, in the order of first appearance."""
        keys = list(zip(self.table["experiment"], self.table["seed"], self.table["fold"], strict=True))
        for key in dict.fromkeys(keys):
            run = Run(str(key[0]), int(key[1]), int(key[2]))
            yield run, self.select(experiment=run.experiment, seed=run.seed, fold=run.fold)

    @staticmethod
    def concatenate(parts: Iterable[AnyRunTable]) -> AnyRunTable:
        """All rows of several tables of one kind: predictions with the same classes, or estimates."""
        parts = list(parts)
        if not parts or any(part.meta != parts[0].meta for part in parts):
            raise InputError(
                "predictions must have the same classes, or all be of numbers, to be joined, got "
                f"{[part.meta for part in parts]}; choose one experiment"
            )
        table = vstack([part.table for part in parts], metadata_conflicts="silent")
        made = [record for part in parts for record in part.table.meta.get("made", [])]
        table.meta["made"] = _merged(made)
        keys = [name for name in (*_RUN, "target") if name in table.colnames]
        row = np.zeros(len(table), dtype=np.int64)  # one number for each combination of the keys
        for name in keys:
            column = table[name]
            values, code = np.unique(
                column.data if column.dtype.kind == "i" else text(column), return_inverse=True
            )
            row = row * len(values) + code
        if len(np.unique(row)) < len(table):
            raise InputError(f"an object must come once in a run, got rows with the same {', '.join(keys)}")
        return replace(parts[0], table=table)

    def __astropy_table__(self, cls: type[Table], copy: bool, **options: Any) -> Table:
        """What astropy makes a table of, and so `write_table` writes."""
        table = cls(self.table, copy=copy, **options)
        table.meta = {"made": self.table.meta.get("made", [])} | self.meta
        return table

    def save(self, path: str | Path) -> Path:
        """Write the table as `write_table` does; CSV keeps no classes, and is not read back."""
        return write_table(Table(self, copy=False), path)


def _merged(made: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of what made predictions; those that differ only in their ``models`` become one."""
    merged: list[dict[str, Any]] = []
    for record in made:
        alike = [one for one in merged if one | {"models": {}} == record | {"models": {}}]
        models = record.get("models", {})
        if not alike:
            merged.append(record | ({"models": dict(models)} if models else {}))
        elif models:
            alike[0].setdefault("models", {}).update(models)
    return merged


AnyRunTable = TypeVar("AnyRunTable", bound=RunTable)


@dataclass(frozen=True)
class Predictions(RunTable):
    """Class probabilities of objects.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns ``object_id``, ``experiment``, ``seed``, ``fold`` (-1: no folds), ``split``, ``true``
        (class name, empty where unknown) and ``p_<class>`` for each class.
    classes : tuple of str
        Classes in the order of the probabilities.
    positive : str or None
        The class that counts as a detection.

    Raises
    ------
    InputError
        If a column is missing, a true class unknown, probabilities leave 0..1 or do not sum to
        one, or an object comes twice in a run.
    """

    classes: tuple[str, ...]
    positive: str | None = None

    def __post_init__(self) -> None:
        need_columns(self.table, [*_RUN, "true", *self._columns], "predictions")
        if self.positive is not None:
            need_choice("positive", self.positive, self.classes)
        if unknown := sorted(set(text(self.table["true"]).tolist()) - {"", *self.classes}):
            raise InputError(f"true must hold the classes {self.classes} or be empty, got {unknown}")
        p = self.probabilities
        if len(p) and not (np.all(p >= 0) and np.all(p <= 1) and np.allclose(p.sum(1), 1, atol=1e-3)):
            raise InputError("probabilities must lie in 0..1 and sum to one for each object")

    @property
    def _columns(self) -> list[str]:
        return [f"p_{name}" for name in self.classes]

    @classmethod
    def from_arrays(
        cls,
        object_id: Sequence[str] | np.ndarray,
        probabilities: np.ndarray,
        *,
        classes: Sequence[str],
        true: Sequence[str] | np.ndarray,
        experiment: str,
        seed: int = 0,
        fold: int = -1,
        split: str | Sequence[str] | np.ndarray = "",
        positive: str | None = None,
    ) -> Predictions:
        """Predictions of one run: probabilities of shape (object, class); `true` is empty where unknown."""
        ids = text(object_id)
        probabilities = np.asarray(probabilities, dtype=np.float64)
        if probabilities.shape != (len(ids), len(classes)):
            raise InputError(
                f"probabilities must have the shape ({len(ids)}, {len(classes)}), got {probabilities.shape}"
            )
        table = _run_columns(ids, experiment, seed, fold, split)
        table["true"] = text(true)
        for name, column in zip(classes, probabilities.T, strict=True):
            table[f"p_{name}"] = column
        return cls(table, tuple(classes), positive)

    @property
    def meta(self) -> dict[str, Any]:
        """Classes and the positive one."""
        return {"classes": list(self.classes), "positive": self.positive}

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each class, shape (n, k)."""
        return np.column_stack([numbers(self.table[name]) for name in self._columns])

    @property
    def true_codes(self) -> np.ndarray:
        """Number of the true class, -1 where unknown, shape (n,)."""
        return rows_of(self.classes, self.table["true"])

    @property
    def known(self) -> Self:
        """The rows whose true class is known."""
        return self.select(self.true_codes >= 0)

    @property
    def decided(self) -> np.ndarray:
        """Most probable class of each object, shape (n,) (Kosiba et al. 2020, section 3)."""
        return np.array(self.classes)[self.probabilities.argmax(1)]

    @property
    def is_positive(self) -> np.ndarray:
        """Whether the true class of each object is the positive one, shape (n,)."""
        return text(self.table["true"]) == self._positive_class()

    @property
    def score(self) -> np.ndarray:
        """Probability of the positive class, shape (n,); refused where no class is the positive one."""
        return numbers(self.table[f"p_{self._positive_class()}"])

    def mean_of_runs(self) -> Predictions:
        """What all runs say together: one run in which each object comes once, in the order of the table."""
        found = mean_scores(self, of=self.probabilities)
        found.sort("row")
        first, names = self.table[found["row"]], dict.fromkeys(text(self.table["experiment"]).tolist())
        one = Predictions.from_arrays(
            found["object_id"], found["mean"], classes=self.classes, positive=self.positive,
            true=first["true"], split=text(first["split"]), experiment=" + ".join(names),
        )  # fmt: skip
        one.table.meta |= self.table.meta
        return one

    def with_probabilities(self, probabilities: np.ndarray, **made: Any) -> Predictions:
        """The same rows with other probabilities, (n, class); `made` is added to what made them."""
        table = self.table.copy()
        for name, column in zip(self._columns, np.asarray(probabilities).T, strict=True):
            table[name] = column
        table.meta["made"] = [one | made for one in self.table.meta.get("made", [])] or [made]
        return replace(self, table=table)

    def _positive_class(self) -> str:
        if self.positive is None:
            raise InputError(f"these predictions have no positive class; name one of {self.classes}")
        return self.positive

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read predictions that `save` wrote."""
        found = load_predictions(path)
        if not isinstance(found, cls):
            raise InputError(f"{str(path)!r} must be a file of predictions, but names no classes")
        return found


def mean_scores(predictions: Predictions, *, of: NDArray | None = None) -> Table:
    """Each object once, by id: ``object_id``, first ``row``, ``runs``, ``mean`` and ``std`` of the score.

    `of` are other values, (rows,) or (rows, k), such as the probabilities of all classes.
    """
    ids, first, row = np.unique(text(predictions.table["object_id"]), return_index=True, return_inverse=True)
    values, runs = predictions.score if of is None else of, np.bincount(row, minlength=len(ids))

    def mean_of(one: NDArray, number: NDArray) -> NDArray:
        return (np.apply_along_axis(lambda v: np.bincount(row, v, len(ids)), 0, one).T / number).T

    mean = mean_of(values, runs)
    std = np.sqrt(mean_of((values - mean[row]) ** 2, np.where(runs > 1, runs - 1, np.nan)))
    return Table({"object_id": ids, "row": first, "runs": runs, "mean": mean, "std": std})


@dataclass(frozen=True)
class Estimates(RunTable):
    """Numbers of objects, each as the mean and the width of a normal distribution.

    A target is a catalogue column, or ``"log "`` and a column: true, predicted and width are then those of
    its logarithm to base 10.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns ``object_id``, ``experiment``, ``seed``, ``fold`` (-1: no folds), ``split``, ``target``,
        ``unit`` (of the target's column), ``true`` (NaN where unknown), ``predicted`` and ``width``
        (standard deviation); a row per object, run and target.

    Raises
    ------
    InputError
        If a column is missing, a prediction is not finite, its width not above zero, or a target has several
        units.
    """

    def __post_init__(self) -> None:
        need_columns(self.table, [*_RUN, "target", "unit", "true", "predicted", "width"], "estimates")
        good = np.isfinite(self.predicted) & np.isfinite(self.width) & (self.width > 0)
        if not good.all():
            raise InputError(
                "predicted and width must be finite and the width above zero, got "
                f"{int((~good).sum())} rows that are not"
            )
        units = set(zip(text(self.table["target"]).tolist(), text(self.table["unit"]).tolist(), strict=True))
        if len(units) > len({target for target, _ in units}):
            raise InputError(f"unit must be one for each target, got {sorted(units)}; convert one")

    def __getattr__(self, name: str) -> Any:
        """Say what is wrong where numbers are given to a function of classes."""
        if name in ("classes", "positive") or (not name.startswith("_") and hasattr(Predictions, name)):
            raise InputError(
                f"predictions must be of classes, got estimates of numbers, which have no {name}; "
                "measure, calibrate and draw them as numbers, or give the predictions of a class scheme"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def from_arrays(
        cls,
        object_id: Sequence[str] | np.ndarray,
        predicted: ArrayLike,
        width: ArrayLike,
        *,
        targets: Sequence[str],
        true: ArrayLike,
        experiment: str,
        units: Sequence[str] | None = None,
        seed: int = 0,
        fold: int = -1,
        split: str | Sequence[str] | np.ndarray = "",
    ) -> Estimates:
        """Estimates of one run, arrays of shape (object, target); `true` is NaN where unknown."""
        one = _run_columns(object_id, experiment, seed, fold, split)
        given = {"true": true, "predicted": predicted, "width": width}
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
        for name, values in arrays.items():
            if values.shape != (len(one), len(targets)):
                raise InputError(
                    f"{name} must have the shape ({len(one)}, {len(targets)}), got {values.shape}"
                )
        tables = []
        for number, (target, unit) in enumerate(zip(targets, units or [""] * len(targets), strict=True)):
            table = one.copy()
            table["target"], table["unit"] = (np.full(len(one), word) for word in (target, unit))
            for name, values in arrays.items():
                table[name] = values[:, number]
            tables.append(table)
        return cls(vstack(tables))

    @property
    def meta(self) -> dict[str, Any]:
        """That they are of numbers."""
        return {"of": "numbers"}

    @property
    def true(self) -> np.ndarray:
        """True numbers, NaN where unknown, shape (row,)."""
        return numbers(self.table["true"])

    @property
    def predicted(self) -> np.ndarray:
        """Predicted means, shape (row,)."""
        return numbers(self.table["predicted"])

    @property
    def width(self) -> np.ndarray:
        """Predicted standard deviations, shape (row,)."""
        return numbers(self.table["width"])

    @property
    def pull(self) -> np.ndarray:
        """(predicted - true) / width, shape (row,): normal with a width of 1 where the widths are right."""
        return (self.predicted - self.true) / self.width

    @property
    def known(self) -> Self:
        """The rows whose true number is known."""
        return self.select(np.isfinite(self.true))

    @classmethod
    def load(cls, path: str | Path) -> Estimates:
        """Read estimates that `save` wrote."""
        found = load_predictions(path)
        if not isinstance(found, cls):
            raise InputError(f"{str(path)!r} must be a file of estimates, but has no numbers")
        return found


def load_predictions(path: str | Path) -> Predictions | Estimates:
    """Predictions or Estimates, whichever `save` wrote, or a folder of parts."""
    if Path(path).is_dir():
        return _joined(Path(path))
    table = read_catalogue(path)
    if table.meta.get("of") == "numbers":
        return Estimates(Table(table))
    if "classes" not in table.meta:
        raise InputError(
            f"{str(path)!r} must be a file of predictions, but names no classes; predict again, and write "
            ".parquet, .ecsv or .fits, for CSV does not keep them"
        )
    return Predictions(Table(table), tuple(table.meta["classes"]), table.meta["positive"])


def _joined(folder: Path) -> Predictions | Estimates:
    """All parts of a folder, run after run."""
    if not (folder / PARTS).is_file():
        raise MissingDataError(
            f"{str(folder)!r} must hold predictions in parts, got no {PARTS}; repeat the call that was to "
            "write them, which has not ended"
        )
    with boundary(f"{str(folder / PARTS)!r} is damaged", "predict again"):
        names = [str(name) for name in json.loads((folder / PARTS).read_text(encoding="utf-8"))["parts"]]
    parts = [load_predictions(folder / name) for name in names]
    runs = dict.fromkeys(run for part in parts for run, _ in part.runs())
    return RunTable.concatenate([part.select(**run._asdict()) for run in runs for part in parts])

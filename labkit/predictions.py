"""Predictions: a tidy table of class probabilities, one row per object and run.

Every measure, figure and comparison starts from it, whether a network, a forest or volunteers gave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table, vstack

from labkit.errors import InputError
from labkit.tables import need_columns, numbers, read_catalogue, rows_of, text, write_table


class Run(NamedTuple):
    """What one set of predictions came from."""

    experiment: str
    seed: int
    fold: int


@dataclass(frozen=True)
class Predictions:
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

    table: Table
    classes: tuple[str, ...]
    positive: str | None = None

    def __post_init__(self) -> None:
        needed = ["object_id", "experiment", "seed", "fold", "split", "true", *self._columns]
        need_columns(self.table, needed, "predictions")
        if self.positive is not None and self.positive not in self.classes:
            raise InputError(f"positive must be one of {self.classes}, got {self.positive!r}")
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
        if len(np.unique(ids)) != len(ids):
            raise InputError("object_id must be unique within a run")
        table = Table({"object_id": ids})
        table["experiment"] = np.full(len(ids), experiment, dtype=f"U{max(1, len(experiment))}")
        table["seed"], table["fold"] = (np.full(len(ids), number, dtype=np.int64) for number in (seed, fold))
        table["split"] = np.broadcast_to(text(split), len(ids)).copy()
        table["true"] = text(true)
        for name, column in zip(classes, probabilities.T, strict=True):
            table[f"p_{name}"] = column
        return cls(table, tuple(classes), positive)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each class, shape (n, k)."""
        return np.column_stack([numbers(self.table[name]) for name in self._columns])

    @property
    def true_codes(self) -> np.ndarray:
        """Number of the true class, -1 where unknown, shape (n,)."""
        return rows_of(self.classes, self.table["true"])

    @property
    def known(self) -> Predictions:
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

    def _positive_class(self) -> str:
        if self.positive is None:
            raise InputError(f"these predictions have no positive class; name one of {self.classes}")
        return self.positive

    def select(
        self,
        mask: np.ndarray | None = None,
        *,
        split: str | None = None,
        experiment: str | None = None,
        seed: int | None = None,
        fold: int | None = None,
    ) -> Predictions:
        """The rows that meet every condition given."""
        keep = np.ones(len(self), dtype=bool) if mask is None else np.asarray(mask, dtype=bool).copy()
        for name, value in {"split": split, "experiment": experiment, "seed": seed, "fold": fold}.items():
            if value is not None:
                keep &= np.asarray(self.table[name] == value)
        return Predictions(self.table[keep], self.classes, self.positive)

    def runs(self) -> Iterator[tuple[Run, Predictions]]:
        """Each run with its predictions, in the order of first appearance."""
        keys = list(zip(self.table["experiment"], self.table["seed"], self.table["fold"], strict=True))
        for key in dict.fromkeys(keys):
            run = Run(str(key[0]), int(key[1]), int(key[2]))
            yield run, self.select(experiment=run.experiment, seed=run.seed, fold=run.fold)

    @staticmethod
    def concatenate(parts: Iterable[Predictions]) -> Predictions:
        """All rows of several predictions with the same classes."""
        parts = list(parts)
        if not parts or any((p.classes, p.positive) != (parts[0].classes, parts[0].positive) for p in parts):
            raise InputError(
                f"predictions must have the same classes to be joined, got {[p.classes for p in parts]}"
            )
        table = vstack([part.table for part in parts], metadata_conflicts="silent")
        return Predictions(table, parts[0].classes, parts[0].positive)

    def save(self, path: str | Path) -> Path:
        """Write the table as Parquet; the file appears whole or not at all."""
        if Path(path).suffix.lower() != ".parquet":
            raise InputError(f"path must end in .parquet, got {str(path)!r}; write_table writes others")
        table = Table(self.table, copy=False)
        table.meta = {"classes": list(self.classes), "positive": self.positive}
        return write_table(table, path)

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read predictions that `save` wrote."""
        table = read_catalogue(path)
        if "classes" not in table.meta:
            raise InputError(f"{str(path)!r} must be a file of predictions, but names no classes")
        return cls(Table(table), tuple(table.meta["classes"]), table.meta["positive"])

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

"""How many candidates of each class a simulated survey has, in which split, and which labels are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from astropy.table import Table

from labkit.errors import InputError

__all__ = ["KOSIBA_TABLE_2", "SurveyCounts", "list_classes", "plan_survey"]

_Key = TypeVar("_Key")

#: Non-clusters among the labelled candidates, approximately as in Kosiba et al. (2020), Table 2.
_MIX = {
    "nearby galaxy": 0.34,
    "artefact": 0.29,
    "point source": 0.24,
    "double source": 0.10,
    "star or AGN": 0.015,
    "edge": 0.015,
}

#: What an expert may have looked at when the label is wrong, for each label; plausible, not measured.
_CONFUSED: Mapping[str, Mapping[str, float]] = {
    "low-z cluster": {"high-z cluster": 0.4, "nearby galaxy": 0.35, "point source": 0.25},
    "high-z cluster": {"low-z cluster": 0.35, "point source": 0.4, "double source": 0.25},
    "nearby galaxy": {"low-z cluster": 0.8, "point source": 0.2},
    "point source": {"high-z cluster": 0.6, "double source": 0.4},
    "double source": {"high-z cluster": 0.6, "point source": 0.4},
    "star or AGN": {"point source": 1.0},
    "artefact": {"high-z cluster": 0.6, "low-z cluster": 0.4},
    "edge": {"high-z cluster": 0.5, "low-z cluster": 0.5},
}


@dataclass(frozen=True)
class SurveyCounts:
    """Sizes and composition of a survey.

    Parameters
    ----------
    train, validation, test : tuple of int
        Clusters and non-clusters in each split.
    low_z : float
        Share of the clusters below redshift 0.3 in train and validation.
    test_low_z : float
        The same in the test split.
    mix : mapping of str to float
        Share of each class among the non-clusters.
    wrong_labels : float
        Share of wrong labels in train and validation; test labels are right, as if confirmed by spectra.

    Raises
    ------
    InputError
        If a number is negative, nothing is left, or shares are not between 0 and 1 with a sum of 1.
    """

    train: tuple[int, int] = (845, 388)
    validation: tuple[int, int] = (200, 104)
    test: tuple[int, int] = (85, 85)
    low_z: float = 0.57
    test_low_z: float = 62 / 85
    mix: Mapping[str, float] = field(default_factory=lambda: MappingProxyType(_MIX))
    wrong_labels: float = 0.04

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if len(pair := getattr(self, name)) != 2 or min(pair) < 0:
                raise InputError(
                    f"{name} must be two numbers, clusters and non-clusters, from 0 up, got {pair}"
                )
        if len(self) == 0:
            raise InputError("counts must ask for at least one object, got 0 in every split")
        for name in ("low_z", "test_low_z", "wrong_labels"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if set(self.mix) - set(_MIX) or abs(sum(self.mix.values()) - 1) > 1e-6:
            raise InputError(f"mix must share 1 among the classes {tuple(_MIX)}, got {dict(self.mix)}")

    def __len__(self) -> int:
        return sum(self.train) + sum(self.validation) + sum(self.test)

    def describe(self) -> dict[str, object]:
        """The numbers as JSON-able values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"mix": dict(self.mix)}

    def scaled(self, n_objects: int) -> SurveyCounts:
        """The same composition for another number of objects.

        Parameters
        ----------
        n_objects : int
            Total of all splits.

        Returns
        -------
        SurveyCounts
            Sizes rounded so that they add up to `n_objects`.

        Raises
        ------
        InputError
            If `n_objects` is not positive.
        """
        if n_objects < 1:
            raise InputError(f"n_objects must be at least 1, got {n_objects}")
        sizes = [*self.train, *self.validation, *self.test]
        shares = dict(enumerate(size / len(self) for size in sizes))
        new = _apportion(n_objects, shares)
        pairs = [(new[k], new[k + 1]) for k in (0, 2, 4)]
        return replace(self, train=pairs[0], validation=pairs[1], test=pairs[2])

    def with_test(self, n_objects: int) -> SurveyCounts:
        """The same survey with another number of test objects, half of them clusters.

        Raises
        ------
        InputError
            If `n_objects` is negative.
        """
        return replace(self, test=((n_objects + 1) // 2, n_objects // 2))


def plan_survey(rng: np.random.Generator, counts: SurveyCounts) -> Table:
    """Decide what every row of a survey is, in random order.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    counts : SurveyCounts
        Sizes and composition, which the labels follow exactly.

    Returns
    -------
    Table
        Columns ``label``, ``split``, ``true_class``, ``label_is_wrong``.
    """
    labels, splits = [], []
    for split in ("train", "validation", "test"):
        clusters, others = getattr(counts, split)
        low = counts.test_low_z if split == "test" else counts.low_z
        labels += (classes := list_classes(clusters, others, low_z=low, mix=counts.mix))
        splits += [split] * len(classes)
    order = rng.permutation(len(labels))
    label, split_of_row = np.array(labels)[order], np.array(splits)[order]
    wrong = (rng.random(len(label)) < counts.wrong_labels) & (split_of_row != "test")
    true_class = label.astype("U32")
    for row in np.flatnonzero(wrong):
        names, chances = zip(*_CONFUSED[str(label[row])].items(), strict=True)
        true_class[row] = rng.choice(names, p=chances)
    return Table({"label": label, "split": split_of_row, "true_class": true_class, "label_is_wrong": wrong})


def list_classes(clusters: int, others: int, *, low_z: float, mix: Mapping[str, float]) -> list[str]:
    """Class of each of so many clusters and others, as close to the shares as whole numbers get.

    Parameters
    ----------
    clusters, others : int
        Numbers of clusters and non-clusters.
    low_z : float
        Share of the clusters below redshift 0.3.
    mix : mapping of str to float
        Share of each class among the others.

    Returns
    -------
    list of str
        Classes, sorted by kind.
    """
    classes = _apportion(clusters, {"low-z cluster": low_z, "high-z cluster": 1 - low_z})
    classes |= _apportion(others, mix)
    return [name for name, number in classes.items() for _ in range(number)]


def _apportion(total: int, shares: Mapping[_Key, float]) -> dict[_Key, int]:
    """Whole numbers after shares that add up to the total (largest remainders)."""
    exact = np.array([total * share for share in shares.values()])
    numbers = np.floor(exact + 1e-9).astype(int)
    numbers[np.argsort(numbers - exact, kind="stable")[: total - numbers.sum()]] += 1
    return dict(zip(shares, numbers.tolist(), strict=True))


#: The experts' numbers of Kosiba et al. (2020), Table 2: 1,707 objects.
KOSIBA_TABLE_2 = SurveyCounts()

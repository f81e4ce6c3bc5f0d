"""What every row of a survey is, which labels are wrong, and which rows the volunteers of the Hunt saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.instruments.epic import COUNT_RATE_TO_FLUX, vignetting
from labkit.simulate.numbers import check_whole, default, read_numbers

_Key = TypeVar("_Key")
_FAINT = 2.0  # how much the overlap outside the test split leans to faint clusters: chance ~ signal^-this


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
    """

    train: tuple[int, int] = default("survey", "survey", "train")
    validation: tuple[int, int] = default("survey", "survey", "validation")
    test: tuple[int, int] = default("survey", "survey", "test")
    low_z: float = default("survey", "survey", "low_z")
    test_low_z: float = default("survey", "survey", "test_low_z")
    mix: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(read_numbers("survey")["survey"]["mix"])
    )
    wrong_labels: float = default("survey", "survey", "wrong_labels")

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
        known = read_numbers("survey")["survey"]["mix"]
        if set(self.mix) - set(known) or abs(sum(self.mix.values()) - 1) > 1e-6:
            raise InputError(f"mix must share 1 among the classes {tuple(known)}, got {dict(self.mix)}")

    def __len__(self) -> int:
        return sum(self.train) + sum(self.validation) + sum(self.test)

    def describe(self) -> dict[str, object]:
        """The numbers as JSON-able values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"mix": dict(self.mix)}

    def scaled(self, n_objects: int) -> SurveyCounts:
        """The same composition for another number of objects."""
        check_whole(1, n_objects=n_objects)
        sizes = [*self.train, *self.validation, *self.test]
        shares = dict(enumerate(size / len(self) for size in sizes))
        new = _apportion(n_objects, shares)
        pairs = [(new[k], new[k + 1]) for k in (0, 2, 4)]
        return replace(self, train=pairs[0], validation=pairs[1], test=pairs[2])

    def with_test(self, n_objects: int) -> SurveyCounts:
        """The same survey with another number of test objects, half of them clusters."""
        return replace(self, test=((n_objects + 1) // 2, n_objects // 2))


def plan_survey(rng: np.random.Generator, counts: SurveyCounts) -> Table:
    """Decide what every row of a survey is, in random order.

    Columns ``label``, ``split``, ``true_class``, ``label_is_wrong``; labels follow the counts exactly.
    """
    labels, splits = [], []
    for split in ("train", "validation", "test"):
        clusters, others = getattr(counts, split)
        low = counts.test_low_z if split == "test" else counts.low_z
        labels += (classes := _classes(clusters, others, low_z=low, mix=counts.mix))
        splits += [split] * len(classes)
    order = rng.permutation(len(labels))
    label, split_of_row = np.array(labels)[order], np.array(splits)[order]
    wrong = (rng.random(len(label)) < counts.wrong_labels) & (split_of_row != "test")
    true_class = label.astype("U32")
    confused = read_numbers("survey")["assumed"]["confused"]
    for row in np.flatnonzero(wrong):
        names, chances = zip(*confused[str(label[row])].items(), strict=True)
        true_class[row] = rng.choice(names, p=chances)
    return Table({"label": label, "split": split_of_row, "true_class": true_class, "label_is_wrong": wrong})


def _classes(clusters: int, others: int, *, low_z: float, mix: Mapping[str, float]) -> list[str]:
    """Class of each of so many clusters and others, by kind, as close to the shares as whole numbers get."""
    classes = _apportion(clusters, {"low-z cluster": low_z, "high-z cluster": 1 - low_z})
    classes |= _apportion(others, mix)
    return [name for name, number in classes.items() for _ in range(number)]


def _apportion(total: int, shares: Mapping[_Key, float]) -> dict[_Key, int]:
    """Whole numbers after shares that add up to the total (largest remainders)."""
    exact = np.array([total * share for share in shares.values()])
    numbers = np.floor(exact + 1e-9).astype(int)
    numbers[np.argsort(numbers - exact, kind="stable")[: total - numbers.sum()]] += 1
    return dict(zip(shares, numbers.tolist(), strict=True))


@dataclass(frozen=True)
class HuntCounts:
    """Sizes and composition of the Hunt beside a survey.

    Kosiba et al. (2020) had 1,600 candidates in the Hunt. 404 of them were the experts', too, with 146 low-z
    and 108 high-z clusters: the 170 of the test split, and 234 others.

    Parameters
    ----------
    test : tuple of int
        Clusters and non-clusters of the test split that the volunteers saw, or all if there are fewer.
    overlap : tuple of int
        Low-z clusters, high-z clusters and non-clusters of the training and validation splits that they saw.
    further : int
        Candidates that only the volunteers saw.
    cluster_share : float
        Share of true clusters among those; as among the experts' (Table 2).
    """

    test: tuple[int, int] = default("survey", "hunt", "test")
    overlap: tuple[int, int, int] = default("survey", "hunt", "overlap")
    further: int = default("survey", "hunt", "further")
    cluster_share: float = default("survey", "hunt", "cluster_share")

    def __post_init__(self) -> None:
        for name, size in (("test", 2), ("overlap", 3)):
            if len(numbers := getattr(self, name)) != size or min(numbers) < 0:
                raise InputError(f"{name} must be {size} numbers from 0 up, got {numbers}")
        if self.further < 0:
            raise InputError(f"further must be 0 or more, got {self.further}")
        if not 0 <= self.cluster_share <= 1:
            raise InputError(f"cluster_share must be between 0 and 1, got {self.cluster_share}")

    def describe(self) -> dict[str, object]:
        """The numbers as JSON-able values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def scaled(self, share: float) -> HuntCounts:
        """The same Hunt beside a smaller or larger survey; the test objects stay, as many as there are."""
        if not share > 0:
            raise InputError(f"share must be above 0, got {share}")
        low, high, others = (round(share * number) for number in self.overlap)
        return replace(self, overlap=(low, high, others), further=round(share * self.further))


def expected_counts(flux: ArrayLike, *, exposure_s: ArrayLike, off_axis: ArrayLike) -> NDArray[np.float64]:
    """About how many counts of a source, off axis by arcmin, the cameras record, chip gaps left aside."""
    return np.asarray(flux) / COUNT_RATE_TO_FLUX * np.asarray(exposure_s) * vignetting(off_axis)


def plan_further(rng: np.random.Generator, hunt: HuntCounts, counts: SurveyCounts) -> Table:
    """The same for the candidates that only the volunteers saw; label and split are empty."""
    clusters = round(hunt.cluster_share * hunt.further)
    classes = _classes(clusters, hunt.further - clusters, low_z=counts.low_z, mix=counts.mix)
    nothing, true_class = np.full(hunt.further, ""), rng.permutation(classes)
    wrong = np.zeros(hunt.further, dtype=bool)
    return Table({"label": nothing, "split": nothing, "true_class": true_class, "label_is_wrong": wrong})


def seen_by(
    rng: np.random.Generator, plan: Table, signal: NDArray[np.float64], hunt: HuntCounts
) -> NDArray[np.bool_]:
    """Choose the experts' candidates that the volunteers of the Hunt see, too; (n,).

    The clusters of the test split are those confirmed by spectra, which tend to be the large and bright ones
    (section 5.1). Those of the overlap outside it are the ones not confirmed, so faint ones are more likely
    to be chosen: chance ~ signal^-2. That reading is ours; it is what Table 1 asks for, where volunteers
    found 55 of 85 clusters in the test split, and 47 of the other 169. `signal` (n,) is a brightness in any
    unit, read for labelled clusters outside the test split.
    """
    label, tested = np.asarray(plan["label"]), np.asarray(plan["split"] == "test")
    low, high = label == "low-z cluster", label == "high-z cluster"
    groups = [tested & (low | high), tested & ~(low | high)]
    groups += [~tested & low, ~tested & high, ~tested & ~(low | high)]
    chosen = np.zeros(len(plan), dtype=bool)
    for number, group in enumerate(groups):
        rows = np.flatnonzero(group)
        wanted = min((*hunt.test, *hunt.overlap)[number], len(rows))
        chance = signal[rows] ** -_FAINT if number in (2, 3) else np.ones(len(rows))
        chosen[rng.choice(rows, wanted, replace=False, p=chance / chance.sum()) if wanted else []] = True
    return chosen


#: The experts' numbers of Kosiba et al. (2020), Table 2: 1,707 objects.
KOSIBA_TABLE_2 = SurveyCounts()
#: The Hunt of Kosiba et al. (2020), sections 2 and 5.1: 1,600 candidates, beside the survey of Table 2.
KOSIBA_HUNT = HuntCounts()

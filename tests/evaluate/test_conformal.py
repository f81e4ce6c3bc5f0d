"""Conformal sets of simulated scores keep their promise, class by class."""

import numpy as np
import pytest
from scipy.special import softmax

from labkit.errors import InputError
from labkit.evaluate import conformal_sets
from labkit.predictions import Predictions

NAMES = ("a", "b", "c")


def drawn(seed, n, shares=(0.7, 0.2, 0.1), experiment="made"):
    """Three classes, one rare, told by probabilities that are too sure."""
    rng = np.random.default_rng(seed)
    code = rng.choice(3, n, p=shares)
    logits = 4 * (1.2 * np.eye(3)[code] + rng.normal(0, 0.7, (n, 3)))
    about = {"classes": NAMES, "true": np.array(NAMES)[code], "experiment": experiment, "split": "test"}
    return Predictions.from_arrays([f"{seed}-{i}" for i in range(n)], softmax(logits, axis=1), **about)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_every_class_is_covered_as_promised_whatever_the_mix(coverage):
    covered = np.zeros((20, 3))
    for seed in range(20):
        held, new = drawn(seed, 500), drawn(seed + 100, 500, shares=(0.2, 0.2, 0.6))
        sets = conformal_sets(held, new, coverage=coverage)
        inside = np.column_stack([sets[f"in_{name}"] for name in NAMES])
        assert (sets["size"] == inside.sum(axis=1)).all()
        covered[seed] = [inside[new.true_codes == code, code].mean() for code in range(3)]
    off = (covered.mean(axis=0) - coverage) / (covered.std(axis=0, ddof=1) / np.sqrt(20))
    assert (np.abs(off) < 3.5).all()
    assert sets.meta["coverage"] == coverage


def test_the_limit_is_the_order_statistic_and_too_few_objects_are_refused():
    held, new = drawn(1, 600), drawn(2, 50)
    limits = conformal_sets(held, new, coverage=0.9).meta["least_probability"]
    own = np.sort(held.probabilities[held.true_codes == 2, 2])
    assert (own < limits["c"]).sum() + 1 == int((len(own) + 1) * 0.1)
    few = held.select(np.arange(600) % 6 == 0)
    with pytest.raises(InputError, match=r"99 objects of each class for a coverage of 0.99, got"):
        conformal_sets(few, new, coverage=0.99)
    with pytest.raises(InputError, match="same classes and models"):
        conformal_sets(held, drawn(2, 50, experiment="other"))
    with pytest.raises(InputError, match="coverage must lie between 0 and 1, got 1"):
        conformal_sets(held, new, coverage=1)

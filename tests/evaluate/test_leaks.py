import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.folds import leak

RNG = np.random.default_rng(4)
CLUSTER = RNG.random(400) < 0.6
CATALOGUE = QTable(
    {"exposure": RNG.uniform(5, 20, 400) * u.ks, "leaking": RNG.normal(0, 1, 400) + 1.5 * CLUSTER}
)


def test_what_is_independent_does_not_tell_and_what_depends_does():
    assert abs(leak(CATALOGUE, CLUSTER, ["exposure"]).sigmas) < 3
    found = leak(CATALOGUE, CLUSTER, ["exposure", "leaking"])
    assert found.auc > 0.75
    assert found.sigmas > 8


def test_the_order_of_the_rows_is_looked_at():
    ordered = np.sort(CLUSTER)
    assert leak(CATALOGUE, ordered[np.argsort(np.arange(400) % 2, kind="stable")], ["exposure"]).sigmas > 3


def test_noise_is_that_of_guessing():
    shuffles = [leak(CATALOGUE[:100], RNG.permutation(CLUSTER[:100]), ["exposure"]).sigmas for _ in range(6)]
    assert np.abs(shuffles).max() < 3.5


def test_bad_input():
    with pytest.raises(InputError, match=r"columns must be in the catalogue, got \['flare'\]"):
        leak(CATALOGUE, CLUSTER, ["flare"])
    with pytest.raises(InputError, match="five objects of each class or more, got 2 and 398"):
        leak(CATALOGUE, np.arange(400) < 2, ["exposure"])

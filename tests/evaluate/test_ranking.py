import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate import rank
from labkit.predictions import Predictions


def run(p, seed=0, ids=("a", "b", "c")):
    p = np.asarray(p)
    return Predictions.from_arrays(
        ids,
        np.column_stack([1 - p, p]),
        classes=("non-cluster", "cluster"),
        true=[""] * len(p),
        experiment="x",
        seed=seed,
        positive="cluster",
    )


def test_mean_scatter_and_order_over_runs():
    both = Predictions.concatenate([run([0.2, 0.9, 0.5]), run([0.4, 0.7, 0.9], seed=1)])
    ranked = rank(both)
    assert ranked["object_id"].tolist() == ["b", "c", "a"]
    np.testing.assert_allclose(ranked["p_cluster"], [0.8, 0.7, 0.3])
    np.testing.assert_allclose(ranked["p_std"], np.std([[0.9, 0.7], [0.5, 0.9], [0.2, 0.4]], axis=1, ddof=1))
    assert ranked["rank"].tolist() == [1, 2, 3]


def test_one_run_has_no_scatter_and_ties_keep_their_order():
    ranked = rank(run([0.5, 0.5, 0.5], ids=("z", "m", "a")))
    assert ranked["object_id"].tolist() == ["z", "m", "a"]
    assert np.isnan(ranked["p_std"]).all()


def test_catalogue_columns_are_matched_by_id():
    catalogue = QTable({"object_id": ["c", "a", "b"], "ra": [3, 1, 2] * u.deg})
    ranked = rank(run([0.1, 0.3, 0.2]), catalogue)
    assert ranked["ra"].value.tolist() == [2, 3, 1]
    with pytest.raises(InputError, match=r"catalogue must hold every predicted object, got none for \['c'\]"):
        rank(run([0.1, 0.3, 0.2]), catalogue[1:])

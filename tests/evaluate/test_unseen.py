import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import (
    Variant,
    catalogue_features,
    colour_methods,
    deal_folds,
    feature_sets,
    survey_columns,
    unseen_clusters,
    variant_predictions,
)
from labkit.photometry import redshift_offset

NAMES = {
    "reference": "r",
    "member": "is_member",
    "cluster_redshift": "z_cl",
    "photometric_redshift": "z_phot",
    "radius": "r_r200",
    "published": "theirs",
}


def survey(n=300, *, clusters=6, seed=0):
    """Members on red sequences that redden with the cluster's redshift; their redshifts are good to 0.02."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(clusters, size=n)
    z_cl = 0.1 + 0.05 * cluster
    member = rng.random(n) < 0.5
    r = rng.uniform(16, 20, n)
    colour = np.where(member, 0.4 + 2 * z_cl + rng.normal(0, 0.25, n), rng.uniform(0.2, 1.6, n))
    z = np.where(member, z_cl, rng.uniform(0, 0.5, n)) + rng.normal(0, 0.02, n)
    table = QTable({"mag_g": r + colour, "mag_r": r, "mag_r_err": np.full(n, 0.01)})
    table["mag_i"] = r - 0.4 * colour + rng.normal(0, 0.1, n)
    table["cluster"], table["z_cl"], table["z_phot"] = [f"C{one}" for one in cluster], z_cl, z
    table["r_r200"], table["is_member"] = rng.uniform(0, 1, n), member
    table["theirs"] = np.where(np.arange(n) % 10 == 0, ~member, member)
    return table


def test_columns_of_any_survey_become_features():
    given = survey(50)
    given["mag_r"][:2] = np.nan
    table = catalogue_features(given, **NAMES)
    assert table.meta == {"colours": ["g-r", "i-r"], "broad": ["g-r", "i-r"], "left_out": 2}
    assert len(table) == 48
    assert np.allclose(table["g-r"], (given["mag_g"] - given["mag_r"])[2:])
    assert np.allclose(table["offset"], redshift_offset(given["z_phot"], given["z_cl"])[2:])
    assert np.array_equal(table["label"] == "member", given["is_member"][2:])
    assert (table["absolute_magnitude"] < -15).all()
    assert len(set(table["object_id"])) == 48


def test_labels_may_be_words_and_unknown_ones_take_no_part():
    given = survey(40)
    given["label"] = np.where(given["is_member"], "member", "non-member").astype("U10")
    given["label"][:5] = ""
    table = catalogue_features(given, reference="r", bands=["g", "r"], cluster_redshift="z_cl")
    assert len(table) == 35
    assert table.meta["colours"] == ["g-r"]
    assert {one.given for one in feature_sets(table)} == {"colours"}


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="got none for .'z_cl'.; name the right ones"):
        catalogue_features(
            survey(20)["mag_r", "cluster"], reference="r", member="cluster", cluster_redshift="z_cl"
        )
    empty = survey(20)
    empty["mag_r"] = np.nan
    with pytest.raises(InputError, match="with mag_r and a verdict, got none of 20"):
        catalogue_features(empty, **NAMES)


def test_a_redshift_tells_more_than_colours_and_seeds_scatter():
    table = catalogue_features(survey(), **NAMES)
    scores = unseen_clusters(table, feature_sets(table), folds=3, seeds=(0, 1), trees=20)
    assert scores["given"].tolist() == ["colours"] * 2 + ["photometric redshift"] * 2 + ["published classes"]
    assert (scores["clusters"] == 6).all()
    assert (scores["galaxies"] == 300).all()
    better = scores["f1"][2:4].max() - scores["f1"][:2].max()
    assert better > 0
    assert (scores["f1_std"][:4] >= 0).all()
    assert (scores["auc"][:4] > 0.55).all()
    assert scores["purity"][4] == pytest.approx(0.9, abs=0.06)
    assert np.isnan(scores["auc"][4])


def test_no_cluster_trains_the_model_that_judges_it():
    """Members carry their cluster's number as a colour: useless where the cluster was never seen."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(6), 40)
    member = rng.random(240) < 0.5
    code = 10.0 * cluster + member * np.where(cluster % 2, 1, -1)  # the sign of the next one tells nothing
    table = Table({"code": code, "object_id": [f"{i}" for i in range(240)], "cluster": cluster.astype(str)})
    table["label"] = np.where(member, "member", "non-member")
    found = unseen_clusters(table, [Variant("code", "forest", ["code"])], seeds=(0,), trees=30)
    assert found["auc"][0] < 0.7
    assert np.isnan(found["f1_std"][0])


def test_the_methods_of_exp3_take_the_folds_of_a_network():
    table = catalogue_features(survey(120), **NAMES)
    dealt = deal_folds(table["label"], folds=3)
    forest, bayesian = feature_sets(table)[:2]
    network = variant_predictions(table[:100], bayesian, folds=dealt[:100], experiment="network")
    found = colour_methods(table, folds=network, seeds=(0, 1), trees=5)
    assert list(found) == ["random forest", "Bayesian"]
    assert [len(one) for one in found.values()] == [200, 100]
    alone = variant_predictions(table[:100], forest, folds=dealt[:100], seeds=(1,), trees=5)
    assert np.array_equal(found["random forest"].select(seed=1).score, alone.score)
    assert np.array_equal(found["random forest"].select(seed=1).table["fold"], alone.table["fold"])
    assert np.array_equal(found["Bayesian"].score, network.score)


def test_catalogues_are_judged_one_after_another():
    one, other = (catalogue_features(survey(80, seed=seed), **NAMES) for seed in (0, 1))
    found = unseen_clusters({"A": one, "B": other}, folds=3, seeds=(0,), trees=5)
    assert found["catalogue"].tolist() == ["A"] * 5 + ["B"] * 5
    alone = unseen_clusters(other, feature_sets(other), folds=3, seeds=(0,), trees=5)
    assert np.array_equal(found["f1"][5:], alone["f1"])
    assert found["method"][5:].tolist() == alone["method"].tolist()


def test_a_survey_names_its_columns_and_the_colours_of_the_bayesian_model():
    named = survey_columns("S-PLUS")
    assert named["reference"] == "rSDSS"
    assert "source" not in named
    table = catalogue_features(survey(30), broad=["g-r"], **NAMES)
    forest, bayesian = feature_sets(table)[:2]
    assert (forest.features[:2], bayesian.features) == (["g-r", "i-r"], ["g-r"])
    with pytest.raises(InputError, match=r"broad must be of the colours \['g-r', 'i-r'\], got \['z-r'\]"):
        catalogue_features(survey(30), broad=["z-r"], **NAMES)
    with pytest.raises(InputError, match="survey must be one of .'S-PLUS',., got 'SDSS'; name the columns"):
        survey_columns("SDSS")

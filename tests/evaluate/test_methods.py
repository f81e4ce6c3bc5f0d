"""Members by photometry: Bayes' rule by hand, folds that keep clusters apart, catalogues of any survey."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate import (
    METHODS,
    Variant,
    auc,
    binary_scores,
    catalogue_features,
    catalogue_members,
    colour_methods,
    feature_sets,
    folds_of,
    photometric_folds,
    photometric_members,
    photometric_predictions,
    stamp_methods,
    survey_columns,
    unseen_clusters,
    variant_predictions,
)
from labkit.evaluate.methods import count_prior, fit_colour_model, fit_normal
from labkit.images import normalise
from labkit.photometry import redshift_offset
from labkit.sample import Sample

FAST = {"n_estimators": 40}
OPTIONS = {"random forest": FAST, "extra trees": FAST, "gradient boosting": {"max_iter": 30}}
OPTIONS |= {"bayesian": {"calibrate": False}, "logistic regression": {}}
FOUR = ["random forest", "Bayesian", "gradient boosting", "logistic regression"]


def galaxies(n=400, *, clusters=8, seed=0):
    """Members on the red sequences of clusters at several redshifts, field galaxies of all colours."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(clusters, size=n)
    z = 0.2 + 0.05 * cluster
    member = rng.random(n) < 0.5
    red = np.column_stack([0.6 + 2 * z, 0.3 + z])
    both = rng.normal(0, 0.05, (n, 1))  # colours share a band
    field = rng.normal([0.9, 0.5], 0.4, (n, 2))
    colour = np.where(member[:, None], red + rng.normal(0, 0.05, (n, 2)) + both, field)
    table = Table({"object_id": [f"G{i:03d}" for i in range(n)], "cluster": [f"C{c}" for c in cluster]})
    table["label"] = np.where(member, "member", "non-member")
    table["z"], table["b-v"], table["v-i"] = z, *colour.T
    return table


def test_whole_clusters_or_shares_of_both_classes():
    table = galaxies()
    grouped = photometric_folds(table["label"], folds=4, groups=table["cluster"])
    assert sorted(set(grouped)) == [0, 1, 2, 3]
    assert all(len(set(grouped[table["cluster"] == name])) == 1 for name in set(table["cluster"]))
    dealt = photometric_folds(table["label"], folds=4)
    member = table["label"] == "member"
    assert np.ptp(np.bincount(dealt[member])) <= 1
    labels = np.array(table["label"])
    labels[:7] = ""
    assert (photometric_folds(labels, folds=4)[:7] == -1).all()
    assert (photometric_folds(table["label"], folds=4, seed=1) != dealt).any()
    with pytest.raises(InputError, match="at most the number of groups, 8, got 9"):
        photometric_folds(table["label"], folds=9, groups=table["cluster"])
    with pytest.raises(InputError, match="objects of the rarer class, 1, got 2"):
        photometric_folds(["member", "non-member", "non-member"], folds=2)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ranks_unseen_clusters_and_repeats_itself(method):
    table = galaxies(250)
    folds = photometric_folds(table["label"], folds=3, groups=table["cluster"])
    extra = {"covariates": ["z"]} if method == "bayesian" else {}
    features = ["b-v", "v-i"] if extra else ["b-v", "v-i", "z"]
    options = {"method": method, "folds": folds, "groups": table["cluster"], "options": OPTIONS[method]}
    options |= extra
    found = photometric_predictions(table, features, **options)
    assert len(found) == len(table)
    assert [run.fold for run, _ in found.runs()] == [0, 1, 2]
    assert auc(found.true_codes == 1, found.score) > (0.6 if method == "logistic regression" else 0.88)
    assert found.positive == "member"
    again = photometric_predictions(table, features, **options)
    np.testing.assert_array_equal(found.score, again.score)


def test_no_object_is_seen_in_training():
    table = galaxies(120)
    rng = np.random.default_rng(3)
    table["noise"] = rng.normal(size=len(table))
    table["label"] = rng.permutation(table["label"])  # what is known of the test fold would show
    folds = photometric_folds(table["label"], folds=5)
    found = photometric_predictions(table, ["noise"], folds=folds, options=FAST)
    assert auc(found.true_codes == 1, found.score) == pytest.approx(0.5, abs=0.15)


def test_the_folds_of_another_method_are_taken_over():
    table = galaxies(100)
    folds = photometric_folds(table["label"], folds=3)
    folds[:10] = -1
    first = photometric_predictions(table, ["b-v"], folds=folds, seeds=(0, 1), options=FAST)
    assert len(list(first.runs())) == 6
    np.testing.assert_array_equal(folds_of(first, table["object_id"]), folds)


def test_the_bayesian_model_is_bayes_rule_for_two_normals():
    rng = np.random.default_rng(5)
    n = 2000
    member = rng.random(n) < 0.3
    x = np.where(member, rng.normal(1, 0.5, n), rng.normal(0, 1, n))[:, None]
    model = fit_colour_model(x, member, wings=0)
    at = np.array([[-1.0], [0.5], [1.0], [2.0]])
    none = np.zeros((4, 0))

    def density(mean, sigma):
        return np.exp(-0.5 * ((at[:, 0] - mean) / sigma) ** 2) / sigma

    expected = 0.3 * density(1, 0.5) / (0.3 * density(1, 0.5) + 0.7 * density(0, 1))
    np.testing.assert_allclose(model.probability(at, none, none), expected, atol=0.05)


def test_a_missing_band_is_integrated_out():
    rng = np.random.default_rng(6)
    x = rng.multivariate_normal([0.5, 1.0], [[0.04, 0.03], [0.03, 0.09]], 1000)
    both = fit_normal(x)
    alone = fit_normal(x[:, :1])
    there = np.column_stack([np.linspace(0, 1, 9), np.full(9, np.nan)])
    none = np.zeros((9, 0))
    marginal = alone.log_density(there[:, :1], none)
    np.testing.assert_allclose(both.log_density(there, none), marginal, atol=0.15)
    grid = np.linspace(-3, 5, 2001)
    plane = np.column_stack([np.full(2001, 0.8), grid])
    summed = np.trapezoid(np.exp(both.log_density(plane, np.zeros((2001, 0)))), grid)
    assert np.log(summed) == pytest.approx(both.log_density([[0.8, np.nan]], none[:1])[0], abs=1e-6)
    nothing = np.full((2, 2), np.nan)
    np.testing.assert_array_equal(both.log_density(nothing, none[:2]), 0)
    member = rng.random(1000) < 0.25  # colours say nothing: without any, the posterior is the prior
    model = fit_colour_model(x, member)
    p = model.probability(nothing, none[:2], none[:2])
    np.testing.assert_allclose(p, member.mean(), atol=0.01)


def test_outliers_do_not_move_the_normal_but_covariates_do():
    rng = np.random.default_rng(7)
    z = rng.uniform(0.2, 0.6, 500)
    x = (0.3 + 2 * z + rng.normal(0, 0.1, 500))[:, None]
    x[:75] += 6
    found = fit_normal(x, z[:, None])
    assert found.slopes[0, 0] == pytest.approx(2, abs=0.15)
    assert found.intercept[0] == pytest.approx(0.3, abs=0.06)
    assert found.covariance[0, 0] == pytest.approx(0.01, rel=0.35)


def test_the_prior_follows_the_counts():
    member = np.repeat([True, False], [30, 70])
    radius = np.concatenate([np.linspace(0, 0.3, 30), np.linspace(0, 1, 70)])
    edges, log_odds = count_prior(member, radius[:, None], bins=4)
    assert len(edges[0]) == 3
    assert log_odds[0] > log_odds[-1]
    assert np.isfinite(log_odds).all()  # the last bin has no member
    _, whole = count_prior(member, np.zeros((100, 0)))
    assert float(whole) == pytest.approx(np.log(30 / 70), rel=0.02)


def test_calibration_makes_overconfident_probabilities_honest():
    rng = np.random.default_rng(8)
    table = galaxies(600, seed=8)
    for name in ("b-v", "v-i"):
        table[name] += rng.standard_t(1.5, len(table)) * 0.05  # wings far wider than a normal's
    folds = photometric_folds(table["label"], folds=3)
    options = {"method": "bayesian", "folds": folds, "covariates": ["z"]}
    raw, honest = (
        photometric_predictions(table, ["b-v", "v-i"], options={"calibrate": on, "wings": 0}, **options)
        for on in (False, True)
    )
    scores = [binary_scores(one.true_codes == 1, one.score) for one in (raw, honest)]
    assert scores[1]["log_loss"] < scores[0]["log_loss"]


def test_sources_without_redshift_are_classified_by_all_that_have_one():
    table = galaxies(300)
    run = galaxies(50, seed=9)
    truth = np.array(run["label"] == "member")
    run.remove_column("label")
    found = photometric_members(table, run, ["b-v", "v-i", "z"], options=FAST)
    assert found.table["object_id"].tolist() == run["object_id"].tolist()
    assert set(found.table["split"]) == {"run"}
    assert (found.true_codes == -1).all()
    assert auc(truth, found.score) > 0.85
    kept, split = (
        photometric_members(table, run, ["b-v", "v-i"], method="bayesian", groups=groups).score
        for groups in (table["cluster"], None)
    )
    assert not np.array_equal(kept, split), "calibration keeps clusters whole"


BROKEN = galaxies(60)
BROKEN["empty"], BROKEN["v-i"][:55] = np.nan, np.nan
HALVES = photometric_folds(BROKEN["label"], folds=2)


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (["b-v"], {"method": "svm"}, "method must be one of .*got 'svm'"),
        (["u-b"], {}, r"table must have the columns .* \['u-b'\] missing"),
        ([], {}, "features must name a column at least"),
        (["b-v"], {"covariates": ["z"]}, "covariates and prior belong to method='bayesian'"),
        (["b-v"], {"folds": HALVES[1:]}, "folds must hold a whole number for each row, 60"),
        (["b-v"], {"folds": HALVES * 0}, "members and non-members in each training set, got 0 objects"),
        (["b-v", "empty"], {}, r"features must hold values, got only NaN in \['empty'\]"),
        (
            ["b-v"],
            {"method": "bayesian", "covariates": ["empty"]},
            "covariates must be finite for all objects",
        ),
        (["b-v", "v-i"], {"method": "bayesian"}, "complete for 6 rows of each class at least"),
        (
            ["b-v"],
            {"method": "bayesian", "options": {"wings": 1}},
            "wings must lie in 0 to less than 1, got 1",
        ),
    ],
)
def test_bad_photometry_is_named(features, options, message):
    with pytest.raises(InputError, match=message):
        photometric_predictions(BROKEN, features, **{"folds": HALVES, **options})


def test_rows_of_a_colour_model_belong_together():
    with pytest.raises(InputError, match=r"one row for each object, got \(3, 1\), \(2,\)"):
        fit_colour_model(np.zeros((3, 1)), [True, False])


def test_real_galaxies_of_unseen_clusters(real):
    given = Table.read(real / "splus" / "cluster_members.ecsv")
    columns = survey_columns("S-PLUS") | {"bands": ["gSDSS", "rSDSS", "iSDSS"], "broad": ["gSDSS-rSDSS"]}
    table = catalogue_features(given, **columns)
    hosts, broad = table["cluster"], table.meta["colours"]
    options = {"folds": photometric_folds(table["label"], groups=hosts), "groups": hosts}
    near = ["offset", "distance", "radius", "absolute_magnitude", "cluster_redshift", *broad]
    trees = photometric_predictions(
        table, near, method="extra trees", options={"n_estimators": 60}, **options
    )
    colour_model = {"method": "bayesian", "covariates": ["cluster_redshift"], "prior": ["radius"]}
    bayes = photometric_predictions(table, ["offset"], **colour_model, **options)
    for found, least in ((trees, 0.845), (bayes, 0.84)):
        scores = binary_scores(found.true_codes == 1, found.score)
        assert scores["f1"] > least  # the reference on this file has 0.839
        assert scores["auc"] > 0.88


NAMES = {
    "reference": "r",
    "member": "is_member",
    "cluster_redshift": "z_cl",
    "photometric_redshift": "z_phot",
}
NAMES |= {"radius": "r_r200", "published": "theirs"}


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


def test_a_redshift_tells_more_than_colours_and_seeds_scatter():
    table = catalogue_features(survey(), **NAMES)
    scores = unseen_clusters(table, feature_sets(table), folds=3, seeds=(0, 1), trees=20)
    assert scores["given"].tolist() == ["colours"] * 4 + ["photometric redshift"] * 4 + ["published classes"]
    assert scores["method"].tolist()[:4] == FOUR
    assert (scores["clusters"] == 6).all()
    assert (scores["galaxies"] == 300).all()
    better = scores["f1"][4:8].max() - scores["f1"][:4].max()
    assert better > 0
    assert (scores["f1_std"][:8] >= 0).all()
    assert (np.delete(scores["auc"][:8], 3) > 0.55).all(), (
        "no line divides a red sequence from both its sides"
    )
    assert scores["purity"][8] == pytest.approx(0.9, abs=0.06)
    assert np.isnan(scores["auc"][8])


def test_a_catalogue_is_judged_out_of_fold_and_beyond_its_verdicts():
    given = survey(200)
    given["label"] = np.where(given["is_member"], "member", "non-member").astype("U10")
    given["label"][:30] = ""
    table = catalogue_features(given, unlabelled=True, **(NAMES | {"member": "label"}))
    variant = feature_sets(table)[-1]
    assert variant.title == "logistic regression"
    found = catalogue_members(table, variant, folds=10)
    assert sorted(found.table["object_id"]) == sorted(table["object_id"])
    run, test = found.select(split="run"), found.select(split="test")
    assert run.table["object_id"].tolist() == table["object_id"][:30].tolist()
    hosts = dict(zip(table["object_id"], table["cluster"], strict=True))
    parts = {(hosts[row["object_id"]], row["fold"]) for row in test.table}
    assert len(parts) == 6, "each cluster in one fold"
    assert auc(given["is_member"][:30], run.score) > 0.8
    one = table[table["cluster"] == "C0"]
    assert len(catalogue_members(one, variant, folds=3)) == len(one), "a single cluster is dealt by galaxies"


def test_missing_features_do_not_stop_a_logistic_regression():
    table = galaxies(200)
    table["b-v"][::3] = np.nan
    folds = photometric_folds(table["label"], folds=3)
    found = photometric_predictions(table, ["b-v", "v-i", "z"], method="logistic regression", folds=folds)
    assert np.isfinite(found.score).all()


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
    dealt = photometric_folds(table["label"], folds=3)
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
    options = {"variants": feature_sets(one)[:1], "folds": 3, "seeds": (0,), "trees": 5}
    found, alone = unseen_clusters({"A": one, "B": other}, **options), unseen_clusters(other, **options)
    assert found["catalogue"].tolist() == ["A"] * 2 + ["B"] * 2
    assert np.array_equal(found["f1"][2:], alone["f1"])
    assert found["method"][2:].tolist() == alone["method"].tolist()


def test_a_survey_names_its_columns_and_the_colours_of_the_bayesian_model():
    named = survey_columns("S-PLUS")
    assert named["reference"] == "rSDSS"
    assert "source" not in named
    table = catalogue_features(survey(30), broad=["g-r"], **NAMES)
    forest, bayesian = feature_sets(table)[:2]
    assert (forest.features[:2], bayesian.features) == (["g-r", "i-r"], ["g-r"])


def test_catalogues_without_what_is_needed_are_refused():
    empty = survey(20)
    empty["mag_r"] = np.nan
    for call, message in (
        (
            lambda: catalogue_features(empty["mag_r", "cluster"], **NAMES),
            "'z_cl', .* missing; name the right ones",
        ),
        (lambda: catalogue_features(empty, **NAMES), "with mag_r and a verdict, got none of 20"),
        (
            lambda: catalogue_features(survey(30), broad=["z-r"], **NAMES),
            r"broad must be of the colours .* got",
        ),
        (lambda: survey_columns("SDSS"), "survey must be one of .'S-PLUS',., got 'SDSS'; name the columns"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_the_middle_of_stamps_tells_members_by_colour_on_the_folds_of_a_network():
    table, rng = galaxies(120, clusters=3), np.random.default_rng(3)
    y, x = np.mgrid[:24, :24] - 11.5
    flux = 10 ** (-0.4 * np.column_stack([table["b-v"] + table["v-i"], table["v-i"], np.zeros(120)]))
    images = 200 * flux[:, :, None, None] * np.exp(-np.hypot(x, y) / 3) + rng.normal(size=(120, 3, 24, 24))
    table["ra"], table["dec"] = np.linspace(0, 1, 120) * u.deg, np.zeros(120) * u.deg
    bands = ("b", "v", "i")
    raw = Sample(images.astype(np.float32), table, bands=bands, pixel_scale=0.1 * u.arcsec)
    sample = normalise(raw, method="fixed-asinh", scales=dict.fromkeys(bands, 1.0))
    folds = photometric_folds(table["label"], folds=3)
    seen = photometric_predictions(table[:90], ["b-v"], folds=folds[:90], options=FAST)
    found = stamp_methods(sample, folds=seen, bands=bands, reference="i", seeds=(0, 1), trees=40)
    assert list(found) == ["logistic regression, levels", "random forest, stamps"]
    assert [len(one) for one in found.values()] == [90, 180]
    for one in found.values():
        assert (folds_of(one, seen.table["object_id"]) == folds_of(seen, seen.table["object_id"])).all()
    forest = found["random forest, stamps"]
    assert auc(forest.true_codes == 1, forest.score) > 0.85
    with pytest.raises(InputError, match="bands must .*'z'"):
        stamp_methods(sample, folds=seen, bands=("b", "z"), reference="b")

"""The survey: composition, reproducibility, independence of class and circumstances."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from labkit.errors import MissingDataError
from labkit.sample import Sample
from labkit.simulate.candidates import draw_field
from labkit.simulate.plan import KOSIBA_TABLE_2, SurveyCounts, plan_survey
from labkit.simulate.survey import simulate_survey, survey_at
from labkit.simulate.xmm import NUISANCES
from labkit.taxonomy import BINARY


@pytest.fixture(scope="module")
def survey() -> Sample:
    """A hundred objects of 48 px."""
    sample = simulate_survey(3, n_objects=100, size_px=48)
    assert sample.shape == (100, 2, 48, 48)
    return sample


def test_default_sizes_are_those_of_the_paper():
    plan = plan_survey(np.random.default_rng(0), KOSIBA_TABLE_2)
    assert len(plan) == 1707
    cluster = BINARY.encode(plan["label"]) == 1
    sizes = {s: ((plan["split"] == s) & cluster).sum() for s in ("train", "validation", "test")}
    assert sizes == {"train": 845, "validation": 200, "test": 85}
    assert ((plan["split"] == "test") & ~cluster).sum() == 85
    assert ((plan["split"] == "test") & (plan["label"] == "low-z cluster")).sum() == 62
    fitted = cluster & (plan["split"] != "test")
    assert (plan["label"] == "low-z cluster")[fitted].mean() == pytest.approx(0.57, abs=0.005)
    assert (plan["label"] == "nearby galaxy")[~cluster].mean() == pytest.approx(0.34, abs=0.01)


def test_the_test_split_can_be_larger_alone():
    counts = KOSIBA_TABLE_2.with_test(1000)
    assert (counts.train, counts.validation, counts.test) == ((845, 388), (200, 104), (500, 500))
    assert len(counts) == 1707 - 170 + 1000


def test_a_few_labels_are_wrong_but_none_in_the_test_split():
    plan = plan_survey(np.random.default_rng(1), KOSIBA_TABLE_2)
    wrong = plan["label_is_wrong"]
    assert ((plan["label"] != plan["true_class"]) == wrong).all()
    assert 0.02 < wrong[plan["split"] != "test"].mean() < 0.06
    assert not wrong[plan["split"] == "test"].any()


def test_wrong_labels_are_what_experts_confuse():
    plan = plan_survey(np.random.default_rng(2), replace(KOSIBA_TABLE_2, wrong_labels=1.0))
    assert (plan["label_is_wrong"] == (plan["split"] != "test")).all()
    for label, mistaken in (("artefact", "nearby galaxy"), ("nearby galaxy", "artefact")):
        assert mistaken not in plan["true_class"][(plan["label"] == label) & plan["label_is_wrong"]]
    assert (plan["label"] == plan["true_class"])[plan["split"] == "test"].all()


@pytest.mark.parametrize("n", [1, 7, 100, 5000])
def test_scaled_counts_add_up(n):
    assert len(KOSIBA_TABLE_2.scaled(n)) == n


def test_images_are_counts_and_density(survey):
    assert survey.images.dtype == np.float32
    assert np.isfinite(survey.images).all()
    assert survey.bands == ("xray", "optical")
    assert survey.pixel_scale.to_value(u.arcsec) * 48 == pytest.approx(420)
    assert (survey.band("xray").sum(axis=(1, 2)) > 20).all()
    assert (survey.band("optical").std(axis=(1, 2)) > 0).all()


def test_regridding_keeps_the_counts(survey):
    inside = survey.band("xray").sum(axis=(1, 2)) / survey.catalogue["counts"]
    assert (np.abs(inside - 1) < 0.12).all()


def test_the_catalogue_tells_the_truth_with_units(survey):
    table = survey.catalogue
    clusters = np.isin(table["true_class"], ("low-z cluster", "high-z cluster"))
    low = table["true_class"] == "low-z cluster"
    assert ((table["redshift"] < 0.3) == low)[clusters].all()
    assert table["flux"].unit == u.erg / u.s / u.cm**2
    assert table["m500"].unit == u.M_sun
    assert (table["exposure"] >= 5 * u.ks).all()
    assert (table["exposure"] <= 20 * u.ks).all()
    galactic = SkyCoord(table["ra"], table["dec"]).galactic.b
    assert (np.abs(galactic - table["galactic_latitude"]) < 0.5 * u.deg).all()


def test_more_processes_and_the_disk_change_nothing(tmp_path):
    first = simulate_survey(5, n_objects=17, size_px=24)
    second = simulate_survey(5, n_objects=17, size_px=24, n_jobs=2, path=tmp_path / "survey")
    assert first.content_hash == second.content_hash
    assert np.array_equal(first.images, second.images)


def test_another_seed_gives_another_survey():
    one, two = (simulate_survey(seed, n_objects=4, size_px=32) for seed in (6, 7))
    assert one.content_hash != two.content_hash


def test_circumstances_do_not_tell_the_class():
    order, *streams = np.random.SeedSequence(8).spawn(1001)
    plan = plan_survey(np.random.default_rng(order), KOSIBA_TABLE_2.scaled(1000))
    kept = np.flatnonzero(plan["true_class"] != "edge")
    rows = [draw_field(np.random.default_rng(streams[k]), str(plan["true_class"][k])).row() for k in kept]
    features = np.array([[row[name] for name in NUISANCES] + [k] for k, row in zip(kept, rows, strict=True)])
    cluster = np.array([name.endswith("cluster") for name in plan["true_class"][kept]])
    forest = RandomForestClassifier(60, min_samples_leaf=5, random_state=0)
    score = cross_val_predict(forest, features, cluster, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(cluster, score) == pytest.approx(0.5, abs=0.05)


def test_bright_clusters_have_more_counts_in_the_centre_than_elsewhere():
    sample = simulate_survey(9, counts=SurveyCounts((80, 0), (0, 0), (0, 0), wrong_labels=0.0), size_px=70)
    bright = sample.select(np.asarray(sample.catalogue["flux"].value > 1e-12))
    centre = bright.band("xray")[:, 25:45, 25:45].mean(axis=(1, 2))
    assert len(bright) > 2
    assert (centre > 1.5 * bright.band("xray").mean(axis=(1, 2))).mean() > 0.7


def test_a_survey_is_simulated_once_and_again_when_the_numbers_change(tmp_path):
    options = {"counts": KOSIBA_TABLE_2.scaled(6), "size_px": 24}
    first = survey_at(tmp_path / "s", 1, **options)
    made = (tmp_path / "s" / "sample.json").stat().st_mtime_ns
    again = survey_at(tmp_path / "s", 1, **options)
    assert (tmp_path / "s" / "sample.json").stat().st_mtime_ns == made
    assert again.content_hash == first.content_hash
    other = survey_at(tmp_path / "s", 2, **options)
    assert other.content_hash != first.content_hash
    assert survey_at(tmp_path / "s", 2, counts=KOSIBA_TABLE_2.scaled(6), size_px=32).shape[-1] == 32


def test_a_sample_of_another_source_is_never_replaced(tmp_path):
    own = simulate_survey(3, n_objects=4, size_px=24)
    own.provenance["source"] = "XMM-Newton observation"
    own.save(tmp_path / "s")
    assert survey_at(tmp_path / "s", 1).content_hash == own.content_hash
    (tmp_path / "folder").mkdir()
    with pytest.raises(MissingDataError, match="must be the folder of a Sample"):
        survey_at(tmp_path / "folder", 1)

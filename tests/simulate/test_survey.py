"""The survey and the Hunt beside it: composition, reproducibility, nothing that gives the class away."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from labkit.errors import InputError, MissingDataError
from labkit.evaluate import leak
from labkit.experiment import preset
from labkit.images import normalise
from labkit.learn.parts import split_for_training
from labkit.sample import Sample
from labkit.simulate.survey import (
    KOSIBA_HUNT,
    KOSIBA_TABLE_2,
    HuntCounts,
    plan_further,
    plan_survey,
    seen_by,
    simulate_survey,
    survey_at,
)
from labkit.simulate.xmm import NUISANCES, expected_counts
from labkit.taxonomy import BINARY


@pytest.fixture(scope="module")
def survey() -> Sample:
    """Sixty candidates of the experts and 42 further ones of the Hunt, 48 px."""
    sample = simulate_survey(11, n_objects=60, hunt=KOSIBA_HUNT, size_px=48)
    assert sample.shape == (102, 2, 48, 48)
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


@pytest.mark.parametrize(("share", "least", "most"), [(0.04, 0.02, 0.06), (1.0, 1.0, 1.0)])
def test_labels_are_wrong_as_experts_confuse_them_and_none_in_the_test_split(share, least, most):
    plan = plan_survey(np.random.default_rng(1), replace(KOSIBA_TABLE_2, wrong_labels=share))
    wrong, tested = plan["label_is_wrong"], plan["split"] == "test"
    assert ((plan["label"] != plan["seen_as"]) == wrong).all()
    assert least <= wrong[~tested].mean() <= most
    assert not wrong[tested].any()
    for label, mistaken in (("artefact", "nearby galaxy"), ("nearby galaxy", "artefact")):
        assert mistaken not in plan["seen_as"][(plan["label"] == label) & wrong]


def test_other_sizes_keep_the_composition():
    assert [len(KOSIBA_TABLE_2.scaled(n)) for n in (1, 7, 100, 5000)] == [1, 7, 100, 5000]
    counts = KOSIBA_TABLE_2.with_test(1000)
    assert (counts.train, counts.validation, counts.test) == ((845, 388), (200, 104), (500, 500))
    half = KOSIBA_HUNT.scaled(0.5)
    assert (half.test, half.overlap, half.further) == ((85, 85), (42, 42, 32), 598)


def test_images_are_counts_and_density(survey):
    assert survey.images.dtype == np.float32
    assert np.isfinite(survey.images).all()
    assert survey.bands == ("xray", "optical")
    assert survey.pixel_scale.to_value(u.arcsec) * 48 == pytest.approx(420)
    assert (survey.band("xray").sum(axis=(1, 2)) > 20).all()
    assert (survey.band("optical").std(axis=(1, 2)) > 0).all()
    inside = survey.band("xray").sum(axis=(1, 2)) / survey.catalogue["counts"]
    assert np.mean(np.abs(inside - 1) < 0.12) > 0.95  # a bright source may lie at the rim


def test_the_catalogue_tells_the_truth_with_units(survey):
    table = survey.catalogue
    clusters = np.isin(table["true_class"], ("low-z cluster", "high-z cluster"))
    low = table["true_class"] == "low-z cluster"
    assert ((table["redshift"] < 0.3) == low)[clusters].all()
    assert (table["flux"].unit, table["m500"].unit) == (u.erg / u.s / u.cm**2, u.M_sun)
    assert ((table["exposure"] >= 5 * u.ks) & (table["exposure"] <= 20 * u.ks)).all()
    galactic = SkyCoord(table["ra"], table["dec"]).galactic.b
    assert (np.abs(galactic - table["galactic_latitude"]) < 0.5 * u.deg).all()


def test_the_hunt_adds_candidates_and_changes_none(survey):
    alone, experts = simulate_survey(11, n_objects=60, size_px=48), survey.select(slice(0, 60))
    assert np.array_equal(alone.images, experts.images)
    for name in alone.catalogue.colnames:
        one, other = (np.asarray(sample.catalogue[name]) for sample in (alone, experts))
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    assert "in_hunt" not in alone.catalogue.colnames
    assert alone.content_hash == experts.content_hash
    further = survey.catalogue[60:]
    assert set(further["label"]) == set(further["split"]) == {""}
    assert further["in_hunt"].all()
    assert not further["label_is_wrong"].any()
    assert len(set(survey.object_ids)) == 102
    assert survey.provenance["hunt"]["further"] == 42


def test_rows_without_a_label_take_part_in_nothing_that_needs_one(survey):
    levels = normalise(survey)
    assert len(levels) == len(survey)
    parts = split_for_training(preset("CN-E"), levels)
    assert sum(len(part.codes) for part in parts.values()) == (survey.catalogue["split"] != "").sum() - 6
    labelled = survey.labels != ""
    cluster = BINARY.encode(survey.labels) == 1
    assert abs(leak(survey.catalogue[labelled], cluster[labelled], NUISANCES, group_by="field").sigmas) < 4


def test_more_processes_and_the_disk_change_nothing_and_another_seed_does(tmp_path):
    first = simulate_survey(5, n_objects=17, size_px=24)
    second = simulate_survey(5, n_objects=17, size_px=24, n_jobs=2, path=tmp_path / "survey")
    assert first.content_hash == second.content_hash
    assert np.array_equal(first.images, second.images)
    other = simulate_survey(6, n_objects=4, size_px=24)
    assert not np.array_equal(other.images[:2], first.images[:2])


def test_bright_clusters_have_more_counts_in_the_centre_than_elsewhere(survey):
    cluster = np.char.endswith(survey.catalogue["true_class"].astype(str), "cluster")
    bright = survey.band("xray")[cluster & (survey.catalogue["fitted_counts"].value > 300)]
    blocks = bright.reshape(len(bright), 8, 6, 8, 6).mean(axis=(2, 4))  # neighbours may be brighter
    assert len(bright) > 5
    assert (blocks[:, 3:5, 3:5].mean(axis=(1, 2)) > 1.5 * np.median(blocks, axis=(1, 2))).mean() > 0.75


def test_a_survey_is_simulated_once_and_again_when_the_numbers_change(tmp_path):
    counts, hunt, path = KOSIBA_TABLE_2.scaled(6), KOSIBA_HUNT.scaled(6 / 1707), tmp_path / "s"
    hashes = []
    for seed, more in ((1, {}), (2, {}), (2, {"hunt": hunt}), (2, {}), (2, {"size_px": 32})):
        options = {"counts": counts, "size_px": 24} | more
        hashes.append(survey_at(path, seed, **options).content_hash)
        made = (path / "sample.json").stat().st_mtime_ns
        assert survey_at(path, seed, **options).content_hash == hashes[-1]
        assert (path / "sample.json").stat().st_mtime_ns == made
    assert hashes[1] == hashes[3]
    assert len(set(hashes)) == 4


def test_a_sample_of_another_source_is_never_replaced(tmp_path):
    own = simulate_survey(3, n_objects=4, size_px=24)
    own.provenance["source"] = "XMM-Newton observation"
    own.save(tmp_path / "s")
    assert survey_at(tmp_path / "s", 1).content_hash == own.content_hash
    (tmp_path / "folder").mkdir()
    with pytest.raises(MissingDataError, match="must be the folder of a Sample"):
        survey_at(tmp_path / "folder", 1)


def test_a_hunt_may_have_no_further_candidates():
    sample = simulate_survey(1, n_objects=2, hunt=HuntCounts(further=0), size_px=24)
    assert len(sample) == 2
    assert sample.catalogue["in_hunt"].dtype == bool


def test_the_paper_has_1600_candidates_in_the_hunt():
    rng = np.random.default_rng(0)
    plan = plan_survey(rng, KOSIBA_TABLE_2)
    seen = seen_by(rng, plan, np.ones(len(plan)), KOSIBA_HUNT)
    further = plan_further(rng, KOSIBA_HUNT, KOSIBA_TABLE_2)
    assert (seen.sum(), seen.sum() + len(further)) == (404, 1600)
    assert (seen & (plan["split"] == "test")).sum() == 170
    assert (plan[seen]["label"] == "low-z cluster").sum() == 146
    assert (plan[seen]["label"] == "high-z cluster").sum() == 108
    clusters = np.char.endswith(np.asarray(further["seen_as"], dtype=str), "cluster")
    assert clusters.mean() == pytest.approx(0.66, abs=0.001)
    low = (further["seen_as"] == "low-z cluster").sum() / clusters.sum()
    assert low == pytest.approx(KOSIBA_TABLE_2.low_z, abs=0.001)


def test_a_larger_test_split_gives_170_of_it_and_a_smaller_one_all():
    for size, expected in ((1700, 170), (40, 40)):
        plan = plan_survey(np.random.default_rng(1), KOSIBA_TABLE_2.with_test(size))
        seen = seen_by(np.random.default_rng(2), plan, np.ones(len(plan)), KOSIBA_HUNT)
        assert (seen & (plan["split"] == "test")).sum() == expected
        assert (seen & (plan["split"] != "test")).sum() == 234


def test_clusters_that_are_not_confirmed_tend_to_be_faint():
    rng = np.random.default_rng(3)
    plan = plan_survey(rng, KOSIBA_TABLE_2)
    signal = np.exp(rng.normal(5, 1, len(plan)))
    seen = seen_by(rng, plan, signal, KOSIBA_HUNT)
    cluster, fitted = BINARY.encode(plan["label"]) == 1, plan["split"] != "test"
    assert np.median(signal[fitted & cluster & seen]) < 0.7 * np.median(signal[fitted & cluster])
    others = np.median(signal[fitted & ~cluster & seen])
    assert others == pytest.approx(np.median(signal[fitted & ~cluster]), rel=0.5)


def test_counts_follow_flux_exposure_and_vignetting():
    on_axis = expected_counts(9e-13, exposure_s=1e4, off_axis=0.0)
    assert on_axis == pytest.approx(1e4)
    assert expected_counts(1.8e-12, exposure_s=5e3, off_axis=0.0) == pytest.approx(on_axis)
    assert expected_counts(9e-13, exposure_s=1e4, off_axis=12.0) < 0.5 * on_axis


def test_the_exposure_band_changes_nothing_else_and_is_of_the_same_place():
    plain, longer = (simulate_survey(5, n_objects=3, size_px=24, exposure=there) for there in (False, True))
    assert longer.bands == ("xray", "optical", "exposure")
    assert np.array_equal(longer.select(bands=("xray", "optical")).images, plain.images)
    seconds = longer.band("exposure")
    assert not longer.band("xray")[seconds == 0].any(), "no photon where nothing was exposed"
    nominal = plain.catalogue["exposure"].to_value(u.s)[:, None]
    middle = seconds[:, 11:13, 11:13].reshape(3, -1)
    assert ((middle >= 0) & (middle < 6 * nominal)).all()
    assert (seconds.max(axis=(1, 2)) > 0.3 * nominal[:, 0]).all()
    with pytest.raises(InputError, match="exposure must be False with telescope='eROSITA'"):
        simulate_survey(5, n_objects=3, telescope="eROSITA", exposure=True)

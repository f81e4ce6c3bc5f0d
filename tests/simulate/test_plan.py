"""The Hunt beside a survey: who is in it, and that the experts' candidates do not notice."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.evaluate import leak
from labkit.experiment import preset
from labkit.images import normalise
from labkit.learn.parts import split_for_training
from labkit.sample import Sample
from labkit.simulate import KOSIBA_HUNT, KOSIBA_TABLE_2, NUISANCES, simulate_survey, survey_at
from labkit.simulate.plan import expected_counts, plan_further, plan_survey, seen_by
from labkit.taxonomy import BINARY


@pytest.fixture(scope="module")
def hunted() -> Sample:
    """Sixty candidates of the experts and 42 further ones, 24 px."""
    sample = simulate_survey(11, n_objects=60, hunt=KOSIBA_HUNT, size_px=24)
    assert sample.shape == (102, 2, 24, 24)
    return sample


def test_the_experts_candidates_stay_as_they_are(hunted):
    alone = simulate_survey(11, n_objects=60, size_px=24)
    experts = hunted.select(slice(0, 60))
    assert np.array_equal(alone.images, experts.images)
    for name in alone.catalogue.colnames:
        one, other = (np.asarray(sample.catalogue[name]) for sample in (alone, experts))
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    assert "in_hunt" not in alone.catalogue.colnames
    assert alone.content_hash == experts.content_hash


def test_further_candidates_have_no_label_and_are_all_in_the_hunt(hunted):
    further = hunted.catalogue[60:]
    assert set(further["label"]) == set(further["split"]) == {""}
    assert further["in_hunt"].all()
    assert not further["label_is_wrong"].any()
    assert len(set(hunted.object_ids)) == 102
    assert hunted.provenance["hunt"]["further"] == 42


def test_the_paper_has_1600_candidates_in_the_hunt():
    rng = np.random.default_rng(0)
    plan = plan_survey(rng, KOSIBA_TABLE_2)
    seen = seen_by(rng, plan, np.ones(len(plan)), KOSIBA_HUNT)
    further = plan_further(rng, KOSIBA_HUNT, KOSIBA_TABLE_2)
    assert seen.sum() == 404
    assert seen.sum() + len(further) == 1600
    assert (seen & (plan["split"] == "test")).sum() == 170
    overlap = plan[seen]
    assert (overlap["label"] == "low-z cluster").sum() == 146
    assert (overlap["label"] == "high-z cluster").sum() == 108
    clusters = np.char.endswith(np.asarray(further["true_class"], dtype=str), "cluster")
    assert clusters.mean() == pytest.approx(0.66, abs=0.001)
    low = (further["true_class"] == "low-z cluster").sum() / clusters.sum()
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
    group = (plan["split"] != "test") & (BINARY.encode(plan["label"]) == 1)
    assert np.median(signal[group & seen]) < 0.7 * np.median(signal[group])
    others = (plan["split"] != "test") & (BINARY.encode(plan["label"]) == 0)
    assert np.median(signal[others & seen]) == pytest.approx(np.median(signal[others]), rel=0.5)


def test_counts_follow_flux_exposure_and_vignetting():
    on_axis = expected_counts(9e-13, exposure_s=1e4, off_axis=0.0)
    assert on_axis == pytest.approx(1e4)
    assert expected_counts(1.8e-12, exposure_s=5e3, off_axis=0.0) == pytest.approx(on_axis)
    assert expected_counts(9e-13, exposure_s=1e4, off_axis=12.0) < 0.5 * on_axis


def test_scaling_keeps_the_test_objects():
    half = KOSIBA_HUNT.scaled(0.5)
    assert (half.test, half.overlap, half.further) == ((85, 85), (42, 42, 32), 598)


def test_the_default_survey_is_made_again_when_the_hunt_changes(tmp_path):
    options = {"counts": KOSIBA_TABLE_2.scaled(6), "size_px": 24}
    assert len(survey_at(tmp_path / "s", 1, **options)) == 6
    hunt = KOSIBA_HUNT.scaled(6 / 1707)
    made = survey_at(tmp_path / "s", 1, hunt=hunt, **options)
    assert len(made) == 10
    stamp = (tmp_path / "s" / "sample.json").stat().st_mtime_ns
    survey_at(tmp_path / "s", 1, hunt=hunt, **options)
    assert (tmp_path / "s" / "sample.json").stat().st_mtime_ns == stamp
    assert len(survey_at(tmp_path / "s", 1, **options)) == 6


def test_rows_without_a_label_take_part_in_nothing_that_needs_one(hunted):
    levels = normalise(hunted)
    assert len(levels) == len(hunted)
    parts = split_for_training(preset("CN-E"), levels)
    assert sum(len(part.codes) for part in parts.values()) == (hunted.catalogue["split"] != "").sum() - 6
    labelled = hunted.labels != ""
    cluster = BINARY.encode(hunted.labels) == 1
    assert abs(leak(hunted.catalogue[labelled], cluster[labelled], NUISANCES).sigmas) < 4

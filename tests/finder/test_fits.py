"""Fits to stamps with known sources, right on average and honest about what is extended; Cash's statistic."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from labkit.finder.fits import (
    Selection,
    Source,
    Stamp,
    cash,
    chance_likelihood,
    fit_models,
    fit_sources,
    gain,
)
from labkit.instruments import PointSpread, Templates

SIZE, EXPOSURE, BACKGROUND = 41, 1e4, 0.15


def stamp_of(rng: np.random.Generator, *sources: Source, gap: bool = False) -> Stamp:
    """Counts of sources on a flat exposure, with a chip gap through the middle if wanted."""
    exposure = np.full((SIZE, SIZE), EXPOSURE)
    if gap:
        exposure[:, 21:23] = 0
    templates = Templates((SIZE, SIZE), pixel_arcsec=4.35, spread=PointSpread(5.0, 30.0))
    empty = Stamp(exposure * 0, exposure, BACKGROUND * (exposure > 0), exposure * 0, templates)
    expected = empty.expected(sources) if sources else empty.background
    return replace(empty, counts=rng.poisson(np.maximum(expected, 0)).astype(float))


def source(counts: float, extent: float = 0.0, x: float = 20.3, y: float = 19.6) -> Source:
    return Source(x, y, counts / EXPOSURE, extent)


@pytest.mark.parametrize("gap", [False, True])
def test_counts_position_and_extent_are_recovered(gap):
    rng, truth = np.random.default_rng(1), source(600, 20.0)
    found = [
        fit_sources(stamp_of(rng, truth, gap=gap), [source(300, 8.0, 20.0, 20.0)]).sources[0]
        for _ in range(6)
    ]
    rate, extent, x, y = np.mean([(s.rate, s.extent, s.x, s.y) for s in found], axis=0)
    assert (rate * EXPOSURE, extent) == pytest.approx((600, 20), rel=0.12)
    assert (x, y) == pytest.approx((20.3, 19.6), abs=0.3)


@pytest.mark.parametrize("truth", [source(400), source(600, 20.0)], ids=["point", "extended"])
def test_errors_are_those_of_many_simulated_sources(truth):
    rng, start = np.random.default_rng(20), replace(truth, x=20.0, y=20.0, rate=truth.rate / 2)
    pulls = []
    for _ in range(60):
        fit = fit_sources(stamp_of(rng, truth), [start])
        found, error = fit.sources[0], fit.errors[0]
        names = ("x", "y", "rate", "extent") if truth.extent else ("x", "y", "rate")
        pulls.append([(getattr(found, n) - getattr(truth, n)) / getattr(error, n) for n in names])
        assert fit.rate_error == pytest.approx(error.rate)
    assert np.mean(pulls, axis=0) == pytest.approx(0, abs=0.4)
    assert np.std(pulls, axis=0) == pytest.approx(1, abs=0.25)


def test_rates_of_a_close_pair_are_surer_in_sum_than_apart():
    pair = [source(250, x=19.5), source(220, x=21.0)]
    fit = fit_sources(stamp_of(np.random.default_rng(21), *pair), pair)
    assert fit.at_bound == ()
    assert fit.rate_error < min(error.rate for error in fit.errors)


def test_what_ends_at_a_bound_is_named_and_has_no_error():
    flat = replace(stamp_of(np.random.default_rng(22)), background=np.full((SIZE, SIZE), BACKGROUND / 1.9))
    wide = fit_sources(replace(flat, counts=flat.exposure * 0 + 0.4), [source(300, 150.0)])
    assert "largest extent" in wide.at_bound
    assert wide.sources[0].extent == pytest.approx(200)
    assert np.isnan(wide.errors[0].extent)
    point = fit_sources(stamp_of(np.random.default_rng(23), source(4000)), [source(2000, 8.0)])
    assert point.at_bound == ("least extent",)
    assert point.errors[0].rate > 0


def test_a_fit_of_the_expected_counts_is_exact():
    stamp, truth = stamp_of(np.random.default_rng(0)), source(400, 15.0)
    exact = replace(stamp, counts=stamp.expected([truth], level=1.1))
    fit = fit_sources(exact, [source(250, 6.0, 20.0, 20.0)])
    assert fit.converged
    assert fit.level == pytest.approx(1.1, rel=1e-2)
    assert fit.sources[0].rate == pytest.approx(truth.rate, rel=1e-2)
    assert (fit.sources[0].x, fit.sources[0].y, fit.sources[0].extent) == pytest.approx(
        (truth.x, truth.y, truth.extent), rel=1e-2
    )


def test_richer_models_are_never_worse():
    models = fit_models(stamp_of(np.random.default_rng(2), source(200, 12.0)), source(100))
    assert models.empty.statistic > models.point.statistic > models.extended.statistic
    assert models.mixed.statistic <= models.extended.statistic + 0.1


def test_detection_likelihood_of_nothing_is_low_and_of_a_source_high():
    rng = np.random.default_rng(3)
    nothing = [fit_models(stamp_of(rng), source(0), components=False) for _ in range(8)]
    assert np.median([models.detection_likelihood for models in nothing]) < 5
    seen = fit_models(stamp_of(rng, source(40)), source(20), components=False)
    assert seen.detection_likelihood > 20


@pytest.mark.parametrize(
    ("sources", "kind"),
    [
        ([source(80)], "point"),
        ([source(4000)], "point"),
        ([source(300, 20.0)], "extended"),
        ([source(250, x=17.5), source(220, x=23.0)], "double"),
        ([source(1500, 35.0), source(500)], "point + extended"),
    ],
)
def test_the_verdict_names_what_is_there(sources, kind):
    stamp = stamp_of(np.random.default_rng(4), *sources)
    verdict, fit = fit_models(stamp, source(50, x=20.0, y=20.0)).verdict(Selection())
    assert verdict == kind
    assert sum(s.rate for s in fit.sources) == pytest.approx(sum(s.rate for s in sources), rel=0.3)


def test_extension_likelihood_grows_with_counts():
    rng = np.random.default_rng(5)
    likelihoods = [
        fit_models(stamp_of(rng, source(n, 15.0)), source(n / 2), components=False).extension_likelihood
        for n in (60, 240, 960)
    ]
    assert likelihoods == sorted(likelihoods)
    assert likelihoods[-1] > 100


def test_a_neighbour_in_the_model_does_no_harm():
    rng, near = np.random.default_rng(6), source(800, x=29.0)
    stamp = stamp_of(rng, source(100), near)
    alone = replace(stamp, neighbours=stamp.expected([near]) - stamp.background)
    assert fit_sources(alone, [source(50)]).sources[0].rate * EXPOSURE == pytest.approx(100, rel=0.3)


def test_negative_and_fractional_counts_are_taken_as_they_are():
    stamp = stamp_of(np.random.default_rng(7), source(300))
    late = np.random.default_rng(8).poisson(0.3, stamp.counts.shape) * 0.063
    fit = fit_sources(replace(stamp, counts=stamp.counts - late + 0.3 * 0.063), [source(150)])
    assert (stamp.counts - late).min() < 0
    assert fit.converged
    assert fit.sources[0].rate == pytest.approx(fit_sources(stamp, [source(150)]).sources[0].rate, rel=0.03)


def test_gain_counts_the_parameters():
    models = fit_models(stamp_of(np.random.default_rng(9), source(60)), source(30), components=False)
    assert (models.empty.parameters, models.point.parameters, models.extended.parameters) == (0, 3, 4)
    assert gain(models.point, models.extended) == models.extension_likelihood
    assert np.isnan(models.double_likelihood)


def test_pixels_that_are_not_numbers_are_a_fit_that_does_not_converge():
    stamp = stamp_of(np.random.default_rng(10), source(60))
    broken = replace(stamp, background=np.full_like(stamp.background, np.nan))
    assert not fit_sources(broken, [source(30)]).converged


def test_a_difference_of_cash_is_that_of_the_log_likelihoods():
    counts = np.array([0, 1, 3, 7])
    one, other = np.array([0.5, 1.0, 2.0, 9.0]), np.array([1.5, 1.0, 4.0, 5.0])
    logs = [-2 * poisson.logpmf(counts, m).sum() for m in (one, other)]
    assert cash(counts, one) - cash(counts, other) == pytest.approx(logs[0] - logs[1])


@given(st.floats(0.01, 50), st.floats(-5, 5))
def test_the_minimum_lies_at_the_mean_whatever_its_parts(level, part):
    # Fractional and negative counts keep their mean: the best constant is that mean.
    counts = np.array([level + part, level - part, level])
    best = cash(counts, np.full(3, level))
    assert best <= min(cash(counts, np.full(3, level * f)) for f in (0.9, 1.1))


@pytest.mark.parametrize("parameters", [1, 3, 4])
def test_likelihood_is_that_of_chi2(parameters):
    difference = np.array([0.0, 1.0, 10.0, 60.0, 199.0, 201.0, 600.0])
    expected = -chi2.logsf(difference, parameters)
    assert chance_likelihood(difference, parameters) == pytest.approx(expected, rel=1e-5)


@given(st.floats(0, 1e6), st.integers(1, 7))
def test_likelihood_grows_and_stays_finite(difference, parameters):
    low, high = chance_likelihood([difference, difference + 1.0], parameters)
    assert 0 <= low < high < np.inf


def test_a_worse_fit_has_no_likelihood():
    assert chance_likelihood(-3.0, 1) == 0

"""Candidates that were found: what a detection is, by the counts that sources put there."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import leak
from labkit.instruments.epic import MOS2, PN
from labkit.simulate.field import SkySource
from labkit.simulate.found import Field, draw_found_field, read_recipe
from labkit.simulate.survey import (
    KOSIBA_HUNT,
    KOSIBA_TABLE_2,
    HuntCounts,
    SurveyCounts,
    _plan,
    plan_survey,
    simulate_survey,
)
from labkit.simulate.xmm import BACKGROUND, DEPTH, FLAWS, Events, Spurious, circumstances, draw_pointing
from labkit.simulate.xray import Component

POINTING = replace(draw_pointing(np.random.default_rng(0)), dead_chips=())


def place(*offset: float) -> tuple[float, float]:
    """A place that is well exposed, and others by their offsets (arcsec)."""
    x, y = POINTING.to_image(PN.axis[0] - 0.5, PN.axis[1] - 3)
    dx, dy = offset or (0.0, 0.0)
    return float(x) + dx / 60, float(y) + dy / 60


def source(kind: str, *offset: float, flux: float = 1e-14, redshift: float = 0.2) -> SkySource:
    at = place(*offset)
    truth = {"flux": flux} | ({"redshift": redshift} if kind == "cluster" else {})
    if kind == "artefact":
        return SkySource(kind, at, [], flaw=Spurious("pn", np.empty(0), np.empty(0)))
    return SkySource(kind, at, [Component(*at, flux)], truth=truth)


def verdict(*counted: tuple[SkySource, int], background: int = 100, late: int = 0, extent: float = 10.0):
    """What is detected at `place()` where each source put so many counts, `late` of the first by read-out."""
    rng, sources = np.random.default_rng(1), [one for one, _ in counted]
    components = flaws = 0
    origin: list[int] = [BACKGROUND] * background
    for one, n in counted:
        number = FLAWS - flaws if one.flaw else components
        flaws, components = flaws + bool(one.flaw), components + len(one.components)
        origin += [number] * n
    n = len(origin)
    x, y = (np.full(n, axis) + rng.normal(0, 3 / 60, n) for axis in place())
    delayed = np.zeros(n, dtype=bool)
    delayed[background : background + late] = True
    events = Events(x, y, np.zeros(n, np.int8), np.array(origin, np.int32), delayed, np.ones(n, np.float32))
    return Field(POINTING, sources, events).verdict(*place(), extent)


CLUSTER, POINT = source("cluster"), source("AGN")


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ([(CLUSTER, 100)], "low-z cluster"),
        ([(replace(CLUSTER, kind="target cluster"), 100)], "low-z cluster"),
        ([(source("cluster", redshift=0.5), 100), (POINT, 60)], "high-z cluster"),
        ([(POINT, 100), (CLUSTER, 60)], "point source"),
        ([(source("star", flux=1e-12), 100)], "star or AGN"),
        ([(source("nearby galaxy"), 100), (POINT, 20)], "nearby galaxy"),
        ([(POINT, 100), (source("AGN", 20.0, 0.0), 60)], "double source"),
        ([(POINT, 100), (source("AGN", 20.0, 0.0), 20)], "point source"),  # too faint for a pair
        ([(source("AGN", 25.0, 0.0), 100), (source("AGN", -25.0, 0.0), 90)], "point source"),  # too far apart
        ([(source("artefact"), 60), (source("artefact"), 50), (CLUSTER, 90)], "artefact"),
        ([(CLUSTER, 60), (POINT, 50), (source("nearby galaxy"), 40)], "blend"),
        ([(source("AGN", 120.0, 0.0, flux=1e-11), 100)], "artefact"),  # the wings of a bright source
        ([(POINT, 12)], "background fluctuation"),
    ],
)
def test_a_detection_is_what_put_most_counts_there(counted, expected):
    assert verdict(*counted).true_class == expected


def test_a_read_out_streak_is_an_artefact_and_counts_are_told_apart():
    assert verdict((POINT, 100), late=80).true_class == "artefact"
    assert verdict((POINT, 100), late=20).true_class == "point source"
    found = verdict((CLUSTER, 150), (POINT, 50), background=200)
    assert (found.source, found.counts, found.share) == (0, 200.0, 0.75)
    assert found.significance == pytest.approx(200 / np.sqrt(400))
    assert verdict(background=50).source == -1


def test_counts_are_those_within_the_aperture_of_the_fit():
    near, far = source("cluster"), source("AGN", 60.0, 0.0, flux=1e-14)
    drawn = draw_found_field(7, 0)
    everything = drawn.verdict(0.0, 0.0, 200.0).counts
    assert 0 < drawn.verdict(0.0, 0.0, 10.0).counts < everything
    assert verdict((near, 100), (far, 5)).true_class == "low-z cluster"


def test_what_the_edge_of_the_field_cuts_is_an_edge():
    at = tuple(float(axis) for axis in POINTING.to_image(MOS2.field[0] + MOS2.field[2], MOS2.field[1]))
    cluster = replace(CLUSTER, place=at, components=[Component(*at, 1e-13)])
    n = np.ones(100)
    events = Events(
        at[0] * n, at[1] * n, 0 * n.astype(np.int8), 0 * n.astype(np.int32), n < 0, n.astype(np.float32)
    )
    assert Field(POINTING, [cluster], events).verdict(*at, 10.0).true_class == "edge"


def test_a_field_is_the_same_whenever_it_is_drawn_and_its_events_have_owners():
    one, two, other = draw_found_field(7, 1), draw_found_field(7, 1), draw_found_field(7, 2)
    assert np.array_equal(one.events.x, two.events.x)
    assert len(one.events.x) != len(other.events.x)
    bright = int(np.argmax(np.bincount(one.owner[one.owner >= 0])))
    own = (one.owner == bright) & ~one.events.late
    x, y = one.sources[bright].place
    assert own.sum() > 100
    assert np.hypot(np.median(one.events.x[own]) - x, np.median(one.events.y[own]) - y) < 0.3
    assert 0.2 < (one.owner == -1).mean() < 0.99


SMALL = SurveyCounts(
    (2, 2), (1, 1), (1, 0), low_z=0.5, test_low_z=1.0, mix={"artefact": 1.0}, wrong_labels=0.0
)
HUNT = HuntCounts(test=(1, 0), overlap=(1, 1, 1), further=2, cluster_share=0.0)


@pytest.fixture(scope="module")
def recipe() -> Table:
    """Places in eight fields, as if found there."""
    rows = []
    for number in range(8):
        for name in ("low-z cluster", "high-z cluster", "artefact", "edge"):
            x, y = 2.0 * (len(rows) % 9) - 8, 1.5 * number - 5
            measured = {
                "counts": 100.0,
                "extent": 10.0,
                "extension_likelihood": 40.0,
                "detection_likelihood": 90.0,
            }
            verdict = {
                "true_class": "blend" if number % 2 else name,
                "seen_as": name,
                "source": len(rows) % 9,
            }
            rows.append({"field": number, "x": x, "y": y, **measured, **verdict, "weight": 0.25})
            rows[-1] |= {"c1": True, "candidate": True}
    return Table(rows, meta={"seed": 7, "fields": 8})


def places(survey) -> set[tuple[float, float]]:
    return set(zip(survey.catalogue["ra"].value, survey.catalogue["dec"].value, strict=True))


def test_a_survey_holds_each_candidate_once_and_what_it_is(recipe):
    survey = simulate_survey(3, counts=SMALL, recipe=recipe, size_px=32)
    again = simulate_survey(3, counts=SMALL, recipe=recipe, size_px=32, n_jobs=2)
    assert np.array_equal(survey.images, again.images)
    assert sorted(survey.labels.tolist()) == ["artefact"] * 3 + ["high-z cluster"] + ["low-z cluster"] * 3
    assert len(places(survey)) == 7
    blends = survey.catalogue["true_class"] == "blend"
    assert 0 < blends.sum() < 7
    assert survey.provenance["found"] == {"seed": 7, "fields": 8, "candidates": 32}
    assert set(survey.catalogue["fitted_extent"].value) == {10.0}
    artefacts = survey.catalogue["true_class"] == "artefact"
    assert np.isnan(survey.catalogue["flux"].value[artefacts]).all()


def test_no_field_serves_two_splits(recipe):
    for seed in range(20):
        plan, rows = _plan(seed, SMALL, HUNT, recipe, edges=True)
        fields, splits = np.asarray(recipe["field"])[rows], np.asarray(plan["split"])
        assert len(set(rows)) == len(rows)
        for name in ("train", "validation", "test"):
            assert not set(fields[splits == name]) & set(fields[(splits != name) & (splits != "")])
        assert not set(fields[splits == "test"]) & set(fields[splits == ""])


def test_what_is_found_may_set_the_mix(recipe):
    counts = SurveyCounts((4, 4), (2, 2), (2, 2), wrong_labels=0.0).as_found()
    plan, _ = _plan(0, counts, None, recipe, edges=True)
    labels = np.asarray(plan["label"])
    assert [(labels == name).sum() for name in ("low-z cluster", "high-z cluster", "artefact", "edge")] == [
        4
    ] * 4
    plan, _ = _plan(0, counts, None, recipe, edges=False)
    assert (plan["label"] == "artefact").sum() == 8  # a scan has no edges
    with pytest.raises(InputError, match="fill them from a recipe"):
        plan_survey(np.random.default_rng(0), counts)


def test_cut_outs_of_a_recipe_are_those_of_its_fields(recipe):
    survey = simulate_survey(3, counts=SMALL, recipe=recipe, size_px=32)
    row = survey.catalogue[0]
    chosen = [
        r
        for r in recipe
        if np.isclose(row["ra"].value, draw_found_field(7, r["field"]).pointing.sky(r["x"], r["y"])[0])
    ]
    field = draw_found_field(7, chosen[0]["field"])
    near = np.abs(field.events.x - chosen[0]["x"]) < 3.5
    near &= np.abs(field.events.y - chosen[0]["y"]) < 3.5
    assert survey.images[0, 0].sum() == pytest.approx(field.events.weight[near].sum(), rel=0.01)


def test_the_hunt_and_another_telescope_keep_the_candidates(recipe):
    survey = simulate_survey(3, counts=SMALL, recipe=recipe, size_px=32)
    hunted = simulate_survey(3, counts=SMALL, recipe=recipe, hunt=HUNT, size_px=32)
    assert np.array_equal(hunted.images[:7], survey.images)
    assert hunted.catalogue["in_hunt"][7:].all()
    scanned = simulate_survey(3, counts=SMALL, recipe=recipe, size_px=32, telescope="eROSITA")
    assert not np.array_equal(scanned.images[:, 0], survey.images[:, 0])


def test_a_recipe_with_too_few_says_of_what(recipe):
    with pytest.raises(InputError, match="3 more seen as 'point source'|1 more seen as 'point source'"):
        simulate_survey(3, counts=replace(SMALL, mix={"point source": 1.0}), recipe=recipe)


def test_what_ships_is_enough_for_the_paper_and_every_class_has_a_source():
    shipped = read_recipe()
    for seed in range(10):
        plan, rows = _plan(seed, KOSIBA_TABLE_2, KOSIBA_HUNT, shipped, edges=True)
        assert len(plan) == len(set(rows)) == 1707 + 1196
    chance = shipped["true_class"] == "background fluctuation"
    assert (shipped["significance"][~chance] >= 3).all()
    assert (shipped["source"][~chance] >= 0).all()
    assert (shipped["significance"][chance] < 3).all()
    assert shipped["extension_likelihood"].min() > 5
    assert shipped["extent"].min() > 5


def test_other_listed_sources_ship_too_when_asked_for():
    shipped, listed = read_recipe(), read_recipe(listed=True)
    assert shipped["candidate"].all()
    others = listed[~listed["candidate"]]
    assert len(listed) == len(shipped) + len(others)
    assert np.bincount(others["field"]).max() == 4
    points = np.isin(others["seen_as"], ("point source", "double source", "star or AGN"))
    assert points.mean() > 0.7
    survey = simulate_survey(3, counts=replace(SMALL, mix={"point source": 1.0}), recipe=listed, size_px=32)
    assert survey.catalogue["candidate"].dtype == bool
    assert not survey.catalogue["candidate"].all()


def test_bright_clusters_are_enough_to_learn_from():
    shipped = read_recipe()
    bright = shipped[shipped["counts"] > 1e4]
    assert np.char.endswith(bright["seen_as"].tolist(), "cluster").sum() > 100


def test_circumstances_do_not_tell_the_class():
    shipped = read_recipe()
    inside = shipped[shipped["seen_as"] != "edge"]
    stream = partial(np.random.SeedSequence, shipped.meta["seed"])
    pointings = [
        draw_pointing(np.random.default_rng(stream(spawn_key=(n,)))) for n in range(shipped.meta["fields"])
    ]
    places = zip(inside["field"].tolist(), inside["x"], inside["y"], strict=True)
    known = Table([circumstances(pointings[number], x, y) for number, x, y in places])
    assert draw_found_field(shipped.meta["seed"], 3).pointing.ra_deg == pointings[3].ra_deg
    cluster = np.char.endswith(np.asarray(inside["seen_as"], dtype=str), "cluster")
    names = ("position_angle", "galactic_latitude")
    known["field"] = inside["field"]
    assert abs(leak(known, cluster, names, group_by="field").sigmas) < 4
    depth = leak(known, cluster, DEPTH, group_by="field")  # what decides what is found tells a little
    assert 0.5 + 2 * depth.noise < depth.auc < 0.6

from __future__ import annotations

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table, vstack
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.cli import main
from labkit.errors import InputError, MissingDataError
from labkit.images.cutouts import cutouts
from labkit.sample import Sample, concatenate
from labkit.simulate.hst.field import simulate_field
from labkit.sources import counts_table, fields_sample, members_sample, read_mosaics
from labkit.sources.members import complete_in, velocity
from labkit.sources.members.catalogue import (
    flag_labels,
    groups_within,
    merge_repeats,
    read_sources,
    velocity_labels,
)
from labkit.sources.members.stamps import coverage_of, make_cutter
from labkit.sources.mosaics import Mosaics
from labkit.tables import write_table

SCALE = 0.065 * u.arcsec
SHAPE = (150, 170)
CLUSTER = {"cluster": "A1", "redshift": 0.4}
#: Pixels x, y of the sources of `catalogue`: two inside, one over the corner, one off the mosaic.
PLACES = np.array([[60.0, 50.0], [100.2, 79.7], [3.0, 4.0], [-300.0, 40.0]])


def tangent(shape=SHAPE, *, scale=0.065, roll_deg=0.0, flip=False):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [64.0, -24.0], [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    east = 1 if flip else -1
    wcs.wcs.cd = np.array([[east * c, east * s], [-s, c]]) * scale / 3600
    return wcs


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def at(places=PLACES, wcs=None, **columns):
    """A catalogue of sources at pixels of the standard mosaic."""
    sky = (wcs or tangent()).pixel_to_world(*np.asarray(places, dtype=float).T)
    n = len(np.atleast_2d(places))
    rows = {"source_id": [f"s{i}" for i in range(n)], "ra": sky.ra.deg * u.deg, "dec": sky.dec.deg * u.deg}
    return QTable(rows | {"z_spec": np.resize([0.4, 0.5, 0.401, np.nan], n)} | columns)


def arrays(**images):
    return Mosaics.from_arrays(images or {"R": noise(seed=1), "I": noise(seed=2)}, tangent())


def counts(sample):
    return {name: counts_table(sample)[name][-1] for name in counts_table(sample).colnames[1:]}


# Membership


@given(st.floats(-0.01, 1.5), st.floats(0.01, 1.2))
@settings(max_examples=30)
def test_velocity_is_that_of_the_clusters_rest_frame(z, cluster):
    v = velocity(z, cluster).to_value(u.km / u.s)
    # (1 + z) = (1 + z_cl) (1 + v / c)
    assert (1 + cluster) * (1 + v / 299792.458) - 1 == pytest.approx(z, abs=1e-12)


def test_members_lie_within_the_limit_and_the_range_is_the_papers():
    limits = velocity([0.382, 0.410], 0.397).to_value(u.km / u.s)  # Table 1: M0416
    np.testing.assert_allclose(np.abs(limits), 3000, atol=250)
    v = [-3000, 3000, 3000.1, -1e5, np.nan] * u.km / u.s
    assert velocity_labels(v).tolist() == ["member", "member", "non-member", "non-member", ""]
    assert velocity_labels(v, v_max=2 * u.Mm / u.s).tolist()[:2] == ["non-member"] * 2
    with pytest.raises(InputError, match="v_max must be one positive velocity, such as 3000"):
        velocity_labels(v, v_max=3000)


@pytest.mark.parametrize(
    "flags",
    [
        np.ma.array([True, False, True], mask=[0, 0, 1]),
        [1, 0, np.nan],
        ["Member", "interloper", ""],
        ["yes", "NO ", "unknown"],
    ],
)
def test_flags_of_several_forms(flags):
    assert flag_labels(flags, name="flag").tolist() == ["member", "non-member", ""]


def test_strange_flags_are_refused():
    with pytest.raises(InputError, match=r"column 'm' must say who is a member .* got \['2'\]"):
        flag_labels([1, 2], name="m")


# Pixels


def test_cutouts_are_the_mosaics_own_pixels_from_disk_and_from_memory(tmp_path):
    images = {"R": noise(seed=1), "I": noise(seed=2)}
    for band, data in images.items():
        fits.PrimaryHDU(data, tangent().to_header()).writeto(tmp_path / f"x_{band}.fits")
    places = np.random.default_rng(3).uniform(20, 130, (40, 2))
    options = {**CLUSTER, "size_px": 16, "merge_radius": 0 * u.arcsec}
    disk = members_sample(read_mosaics(tmp_path, bands=tuple("RI")), at(places), **options)
    memory = members_sample(arrays(**images), at(places), **options)
    assert disk.images.tobytes() == memory.images.tobytes()
    x, y = np.floor(places - 7.5 + 0.5).astype(int).T
    for row in range(40):
        expected = [data[y[row] : y[row] + 16, x[row] : x[row] + 16] for data in images.values()]
        np.testing.assert_array_equal(disk.images[row], expected)
    assert disk.provenance["fields"][0]["pixels"] == "the mosaics' own"
    assert disk.pixel_scale.to_value(u.arcsec) == pytest.approx(0.065)


@pytest.mark.parametrize("size", [16, 17])
def test_a_source_lies_within_half_a_pixel_of_the_centre(size):
    for x in np.linspace(60, 61, 11):
        cutter = make_cutter(
            arrays(R=np.tile(np.arange(SHAPE[1], dtype=np.float32), (SHAPE[0], 1))), size_px=size
        )
        columns = cutter(tangent().pixel_to_world([x], [70.0]))[0, 0, 0]
        assert abs(columns.mean() - x) <= 0.5 + 1e-6


@pytest.mark.parametrize(("roll", "flip"), [(90, False), (180, False), (270, True), (0, True)])
def test_turned_and_flipped_mosaics_give_the_same_pixels(roll, flip):
    wcs = tangent((150, 150))
    positions = wcs.pixel_to_world(np.array([50.0, 91.2]), np.array([80.0, 44.9]))
    image = noise((150, 150))
    upright = make_cutter(Mosaics.from_arrays({"R": image}, wcs), size_px=17)(positions)
    other = tangent((150, 150), roll_deg=roll, flip=flip)
    y, x = np.mgrid[:150, :150]
    sky = wcs.pixel_to_world(x, y)
    there = np.rint(other.world_to_pixel(sky)).astype(int)
    moved = np.empty_like(image)
    moved[there[1], there[0]] = image
    cutter = make_cutter(Mosaics.from_arrays({"R": moved}, other), size_px=17)
    assert cutter.turn is not None
    np.testing.assert_array_equal(cutter(positions), upright)


def test_trimmed_mosaics_line_up_and_are_empty_where_trimmed():
    data, wcs = noise(), tangent()
    trimmed = Mosaics.from_arrays(
        {"a": data, "b": data[30:, 50:]}, {"a": wcs, "b": wcs.slice((slice(30, None), slice(50, None)))}
    )
    images = make_cutter(trimmed, size_px=20)(wcs.pixel_to_world([80.0, 55.0], [60.0, 70.0]))
    np.testing.assert_array_equal(images[0, 0], images[0, 1])
    assert np.isnan(images[1, 1, :, :4]).all()
    np.testing.assert_array_equal(images[1, 1, :, 5:], images[1, 0, :, 5:])


def gaussians(places, *, wcs, shape, fwhm_arcsec=0.3, flux=100.0):
    """Round sources in a mosaic of any scale, integrated well enough."""
    scale = np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
    sigma = fwhm_arcsec / 2.3548 / scale
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for cx, cy in np.transpose(wcs.world_to_pixel(tangent().pixel_to_world(*np.transpose(places)))):
        image += flux / (2 * np.pi * sigma**2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


def test_other_scales_and_angles_are_regridded_with_the_flux_conserved():
    places = np.array([[60.0, 50.0], [100.2, 79.7]])
    infrared = tangent((90, 95), scale=0.13, roll_deg=25, flip=True)
    images = {
        "R": gaussians(places, wcs=tangent(), shape=SHAPE),
        "H": gaussians(places, wcs=infrared, shape=(90, 95)),
    }
    mosaics = Mosaics.from_arrays(images, {"R": tangent(), "H": infrared})
    sample = members_sample(mosaics, at(places), **CLUSTER, size_px=32, pixel_scale=SCALE)
    assert sample.provenance["fields"][0]["pixels"] == "regridded, flux conserved"
    np.testing.assert_allclose(sample.images.sum(axis=(2, 3)), 100, rtol=0.01)
    y, x = np.mgrid[:32, :32] - 15.5
    for image in sample.images.reshape(-1, 32, 32):
        assert abs((image * x).sum() / 100) < 0.05
        assert abs((image * y).sum() / 100) < 0.05
    options = {"size": 32 * SCALE, "pixels": 32, "conserve": "flux", "fill": np.nan}
    sky = SkyCoord(sample.catalogue["ra"], sample.catalogue["dec"])
    np.testing.assert_allclose(
        sample.band("H"), cutouts(images["H"], infrared, sky, **options), rtol=1e-4, atol=1e-4
    )


def test_regridding_many_tiles_equals_one_by_one():
    wcs = tangent((600, 620), roll_deg=10)
    cutter = make_cutter(Mosaics.from_arrays({"R": noise((600, 620))}, wcs), size_px=12)
    assert cutter.turn is None
    rng = np.random.default_rng(5)
    positions = wcs.pixel_to_world(rng.uniform(-20, 640, 12), rng.uniform(-20, 620, 12))
    together = cutter(positions)
    one_by_one = np.concatenate([cutter(position.reshape(1)) for position in positions])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-5)
    assert np.isfinite(together).any()
    assert np.isnan(together).any()


def test_how_pixels_are_made_can_be_asked_for():
    mosaics = arrays()
    slanted = Mosaics.from_arrays({"R": noise()}, tangent(roll_deg=20))
    positions = tangent().pixel_to_world([80.0], [70.0])
    assert make_cutter(mosaics, resample="always").turn is None
    own = make_cutter(slanted, size_px=15, resample="never")(positions)[0, 0]
    x, y = (round(float(value)) for value in slanted["R"].wcs.world_to_pixel(positions[0]))
    np.testing.assert_array_equal(own, slanted["R"].data[y - 7 : y + 8, x - 7 : x + 8])
    brighter = [
        make_cutter(mosaics, pixel_scale=2 * SCALE, size_px=15, conserve=c)(positions).mean()
        for c in ("flux", "surface brightness")
    ]
    assert brighter[0] == pytest.approx(4 * brighter[1], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": 0}, "size_px must be at least 1, got 0"),
        ({"pixel_scale": -1 * u.arcsec}, "pixel_scale must be one positive angle"),
        ({"resample": "maybe"}, "resample must be 'auto', 'never' or 'always'"),
        ({"resample": "never", "pixel_scale": 0.1 * u.arcsec}, "but their pixel scales are .* is asked for"),
    ],
)
def test_options_of_the_cutting_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        make_cutter(arrays(), **options)


def test_different_pixel_scales_need_a_choice():
    mosaics = Mosaics.from_arrays(
        {"R": noise(), "H": noise((75, 85))}, {"R": tangent(), "H": tangent((75, 85), scale=0.13)}
    )
    with pytest.raises(
        InputError, match=r"different pixel scales \(R 0\.065 arcsec, H 0\.13 arcsec\); pass for"
    ):
        make_cutter(mosaics)


# Coverage


def test_sources_that_lack_a_band_are_dropped_and_counted():
    infrared = noise(seed=4)
    infrared[:, :80] = np.nan  # the first source lacks it
    mosaics = arrays(R=noise(), H=infrared)
    optical = members_sample(mosaics, at(), **CLUSTER, size_px=16, bands=("R",))
    assert counts(optical) == {
        **{"listed": 4, "without_position": 0, "merged": 0, "unlabelled": 0, "outside": 1, "incomplete": 1},
        **{"kept": 2},
        **{
            "member": 1,
            "non-member": 1,
            "unknown": 0,
            "redshift_not_accepted": 0,
            "redshift_sentinel": 0,
            "contradicting": 0,
        },
    }
    assert optical.object_ids.tolist() == ["A1-s0", "A1-s1"]
    both = members_sample(mosaics, at(), **CLUSTER, size_px=16)
    assert both.object_ids.tolist() == ["A1-s1"]
    assert both.provenance["fields"][0]["lacking"] == {"R": 2, "H": 3}
    some = members_sample(mosaics, at(), **CLUSTER, size_px=16, needed=("R",))
    assert np.isnan(some.band("H")[0]).all()
    assert some.catalogue["coverage_H"].tolist() == [0, 1]
    chosen = complete_in(some, ("R", "H"))
    np.testing.assert_array_equal(chosen.images, both.images)
    assert chosen.provenance["configuration"]["dropped"] == 1
    np.testing.assert_array_equal(complete_in(some, ("R",)).images, optical.images)


def test_zeros_are_blank_unless_told_otherwise():
    image = noise()
    image[:, 65:] = 0
    options = {**CLUSTER, "size_px": 16, "min_coverage": 0.65}
    cut = members_sample(arrays(R=image), at(), **options)
    assert len(cut) == 1
    assert cut.catalogue["coverage_R"][0] == 0.75
    assert np.isnan(cut.images).mean() == 0.25
    kept = members_sample(arrays(R=image), at(), **options, blank=None)
    assert kept.catalogue["coverage_R"].tolist() == [1, 1]


def test_a_hole_in_the_middle_is_no_coverage():
    images = np.ones((3, 1, 9, 9), np.float32)
    images[1, 0, 4, 4] = images[2, 0, 0, :] = np.nan
    np.testing.assert_allclose(coverage_of(images)[:, 0], [1, 0, 8 / 9])


def test_a_catalogue_of_another_field_is_refused():
    far = at(PLACES + 5000)
    with pytest.raises(
        InputError, match=r"A1: no source of the catalogue has all of the bands \('R', 'I'\) \(4 outside"
    ):
        members_sample(arrays(), far, **CLUSTER)
    with pytest.raises(
        MissingDataError, match=r"bands must be among those of the mosaics \('R', 'I'\), got \['J'\]"
    ):
        members_sample(arrays(), at(), **CLUSTER, bands=("R", "J"))
    with pytest.raises(InputError, match=r"min_coverage must be above 0 and at most 1, got 0"):
        members_sample(arrays(), at(), **CLUSTER, min_coverage=0)
    sample = members_sample(arrays(), at(), **CLUSTER, size_px=16)
    with pytest.raises(InputError, match=r"columns \['coverage_J'\], \['coverage_J'\] missing"):
        complete_in(sample, ("J",))


# Catalogues

INSIDE = np.random.default_rng(8).uniform(30, 120, (6, 2))


def inside(**columns):
    return at(INSIDE, **columns)


def test_redshifts_of_poor_quality_are_not_used():
    table = inside(z_spec=[0.4, 0.4, 0.7, 0.7, np.nan, -99], q=[3, 1, 9, 2, 3, 3])
    sample = members_sample(arrays(), table, **CLUSTER, size_px=8, quality="q", accepted=(3, 9))
    assert sample.labels.tolist() == ["member", "", "non-member", "", "", ""]
    assert np.isfinite(sample.catalogue["redshift"]).tolist() == [True, False, True] + [False] * 3
    assert counts(sample)["redshift_not_accepted"] == 2
    assert sample.catalogue["velocity"].unit == u.km / u.s
    assert sample.catalogue["velocity"][2] == velocity(0.7, 0.4)
    with pytest.raises(
        InputError, match=r"accepted must hold values of the column 'q', got \[7\]; there are \['1'"
    ):
        members_sample(arrays(), table, **CLUSTER, quality="q", accepted=(7,))
    with pytest.raises(InputError, match="quality and accepted must be given together, got 'q' and None"):
        members_sample(arrays(), table, **CLUSTER, quality="q")


def test_a_flag_instead_of_velocities_and_a_catalogue_without_redshifts():
    table = inside(is_in=[True, False] * 3)
    sample = members_sample(arrays(), table, **CLUSTER, size_px=8, member="is_in")
    assert sample.labels.tolist() == ["member", "non-member"] * 3
    table.remove_column("z_spec")
    bare = members_sample(arrays(), table, **CLUSTER, size_px=8, z=None, source_id=None)
    assert set(bare.labels) == {""}
    assert bare.object_ids[:2].tolist() == ["A1-00000", "A1-00001"]
    assert bare.provenance["fields"][0]["warnings"] == []


def test_repeated_sources_are_merged_by_rule():
    table = inside()[[0, 0, 1, 1, 2, 3]]
    table["source_id"] = ["a", "b", "c", "d", "e", "f"]
    table["z_spec"] = [np.nan, 0.4, 0.4, 0.9, 0.4, 0.9]
    table["dec"][[1, 3]] += 0.05 * u.arcsec
    sample = members_sample(arrays(), table, **CLUSTER, size_px=8)
    assert sample.object_ids.tolist() == ["A1-b", "A1-c", "A1-e", "A1-f"]
    assert sample.labels.tolist() == ["member", "", "member", "non-member"]
    assert (counts(sample)["merged"], counts(sample)["contradicting"]) == (2, 1)
    assert "1 sources with rows that disagree" in sample.provenance["fields"][0]["warnings"][0]
    apart = members_sample(arrays(), table, **CLUSTER, size_px=8, merge_radius=0.01 * u.arcsec)
    assert len(apart) == 6
    with pytest.raises(InputError, match=r"each source once, got 2 rows within 0\.1 arcsec of another"):
        members_sample(arrays(), table, **CLUSTER, repeats="refuse")
    table["source_id"] = "a"
    with pytest.raises(
        InputError, match=r"'source_id' must name each source once, got \['A1-a'\] for different"
    ):
        members_sample(arrays(), table, **CLUSTER)
    with pytest.raises(InputError, match="merge_radius must be an angle of zero or more"):
        members_sample(arrays(), table, **CLUSTER, merge_radius=1)


def test_groups_are_chains_and_keep_the_best_row():
    sky = SkyCoord([10, 10, 10, 50] * u.deg, np.array([0, 0.08, 0.16, 0]) / 3600 * u.deg)
    groups = groups_within(sky, 0.1 * u.arcsec)
    assert groups[0] == groups[1] == groups[2] != groups[3]
    keep, disputed = merge_repeats(groups, np.array(["", "", "", ""]), np.array([False, False, True, False]))
    assert keep.tolist() == [2, 3]
    assert not disputed.any()


@pytest.mark.parametrize(("z", "lacking"), [(0.4, "non-member"), (0.9, "member")])
def test_a_cluster_of_one_kind_only_is_a_warning_in_the_record(z, lacking, caplog):
    with caplog.at_level(logging.WARNING):
        sample = members_sample(arrays(), inside(z_spec=np.full(6, z)), **CLUSTER, size_px=8)
    assert sample.provenance["fields"][0]["warnings"] == [f"A1: none of the sources is a {lacking}"]
    assert f"none of the sources is a {lacking}" in caplog.text


def test_rows_without_position_are_left_out_and_counted():
    table = inside()
    table["ra"][2] = np.nan * u.deg
    table["dec"][3] = 95 * u.deg
    assert counts(members_sample(arrays(), table, **CLUSTER, size_px=8))["without_position"] == 2
    table["ra"][:] = np.nan * u.deg
    with pytest.raises(InputError, match="columns 'ra' and 'dec' must hold positions in degrees, got none"):
        members_sample(arrays(), table, **CLUSTER)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda t: t,
            {"ra": "X"},
            r"must have the columns \['X', 'dec', 'z_spec'\], got .* without \['X'\]",
        ),
        (lambda t: t[:0], {}, "must hold at least one source, got none"),
        (lambda t: t, {"redshift": -0.1}, "redshift of 'A1' must be between 0 and 20, got -0.1"),
        (lambda t: t, {"cluster": " "}, "cluster must be a name, got ' '"),
        (lambda t: t, {"z": "source_id"}, "column 'source_id' must hold numbers"),
        (lambda t: t, {"repeats": "no"}, "repeats must be 'merge' or 'refuse', got 'no'"),
        (lambda t: t, {"z": None, "quality": "z_spec", "accepted": (1,)}, "quality 'z_spec' needs redshifts"),
    ],
)
def test_catalogues_are_checked(change, options, message):
    with pytest.raises(InputError, match=message):
        members_sample(arrays(), change(inside()), **(CLUSTER | options))


def read(catalogue, **options):
    return read_sources(catalogue, **(CLUSTER | options))


PLACE = {"ra": [150.0, 150.1], "dec": [2.0, 2.1]}
SPEED = 299792.458


@pytest.mark.parametrize(
    ("z", "found", "sentinels"),
    [
        (np.array([119900.0, -99.0]) * u.km / u.s, [119900 / SPEED, -99 / SPEED], 0),
        ([119900.0, 99.0] * u.Mm / u.s / 1000, [119900 / SPEED, 99 / SPEED], 0),
        ([40.0, 41.0] * u.percent, [0.4, 0.41], 0),
        (["0.4", ""], [0.4, np.nan], 0),
        (MaskedColumn([0.4, 0.5], mask=[0, 1]), [0.4, np.nan], 0),
        ([0.4, 99.0], [0.4, np.nan], 1),
        (np.array([9.99, 999.0], dtype=np.float32), [np.nan, np.nan], 2),
        ([-99.0, -1.0], [np.nan, np.nan], 1),
        ([9.9, 12.0], [9.9, 12.0], 0),
    ],
)
def test_redshifts_of_all_kinds(z, found, sentinels):
    sources, counts, warnings = read(QTable(PLACE | {"z_spec": z}))
    np.testing.assert_allclose(sources["redshift"], found, rtol=1e-12)
    assert counts["redshift_sentinel"] == sentinels
    assert any("taken as unknown" in text for text in warnings) == bool(sentinels)
    assert (sources["label"] == "").tolist() == np.isnan(found).tolist()


@pytest.mark.parametrize(
    ("quality", "accepted", "refused"),
    [
        ([3, 1], ["3"], [False, True]),
        (["A ", "c"], ["A", "b"], [False, True]),
        ([3.4, 2.4], ["3.4", "9.5"], [False, True]),
        (np.array([3.4, 2.4], dtype=np.float32), [3.4], [False, True]),
        (["3 ", "2"], [3], [False, True]),
        ([3.0, 2.0], [3], [False, True]),
        (np.array([3, 2], dtype="u1"), [3], [False, True]),
        (MaskedColumn([3, 3], mask=[0, 1]), [3], [False, True]),
        ([b"A", b"B"], "A", [False, True]),
    ],
)
def test_qualities_are_the_same_as_text_and_as_number(quality, accepted, refused):
    table = QTable(PLACE | {"z_spec": [0.4, 0.4], "q": quality})
    sources, counts, _ = read(table, quality="q", accepted=accepted)
    assert np.isnan(sources["redshift"]).tolist() == refused
    assert counts["redshift_not_accepted"] == 1


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (MaskedColumn([5, 6], mask=[0, 1]), ["A1-5", "A1-00001"]),
        ([1e16 + 2, 5.0], ["A1-10000000000000002", "A1-5"]),
        ([b"a ", b"b"], ["A1-a", "A1-b"]),
        (["", "x"], ["A1-00000", "A1-x"]),
    ],
)
def test_names_are_text_and_never_what_a_mask_hides(ids, names):
    sources, _, _ = read(QTable(PLACE | {"z_spec": [0.4, 0.4], "source_id": ids}))
    assert sources["object_id"].tolist() == names


def test_positions_of_all_kinds_and_columns_beside_ours():
    table = Table(
        {
            "RA": ["10:00:00", "10:00:24"],
            "Dec": ["+2:00:00", "+2:06:00"],
            "Z_SPEC": [0.4, 0.5],
            "label": ["mine", "yours"],
            "velocity": [1, 2],
        }
    )
    sources, _, _ = read(table)
    np.testing.assert_allclose(sources["ra"].to_value(u.deg), PLACE["ra"])
    np.testing.assert_allclose(sources["dec"].to_value(u.deg), PLACE["dec"])
    assert sources["label"].tolist() == ["member", "non-member"]
    assert sources["label_listed"].tolist() == ["mine", "yours"]
    assert sources["velocity_listed"].tolist() == [1, 2]
    hours = QTable({"ra": [10.0, 150 / 15] * u.hourangle, "dec": [2.0, -99.0], "z_spec": [0.4, 0.4]})
    sources, counts, _ = read(hours)
    np.testing.assert_allclose(sources["ra"].to_value(u.deg), [150], rtol=1e-12)
    assert counts["without_position"] == 1


def test_a_computed_coverage_stands_beside_that_of_the_list():
    sample = members_sample(arrays(), inside(coverage_R=np.arange(6)), **CLUSTER, size_px=8)
    assert sample.catalogue["coverage_R_listed"].tolist() == list(range(6))
    assert (sample.catalogue["coverage_R"] == 1).all()


@pytest.mark.parametrize(
    ("z", "message"),
    [
        ([0.4, 119900.0], r"must hold redshifts up to 20, got 119900 in row 2 .* its unit \(km/s for c z"),
        ([0.4, 0.5] * u.kpc, "must hold redshifts or velocities c z, got the unit kpc"),
        (["0.4", "0,5"], "column 'z_spec' must hold numbers, got '0,5' in row 2"),
    ],
)
def test_redshifts_that_are_none_are_refused(z, message):
    with pytest.raises(InputError, match=message):
        read(QTable(PLACE | {"z_spec": z}))


@pytest.mark.parametrize("name", ["c.fits", "c.ecsv", "c.csv", "c.vot", "c.parquet", "c.csv.gz"])
def test_catalogues_of_all_formats_give_the_same_sample(name, tmp_path):
    table = inside(source_id=[f"{i:04d}" for i in range(6)], flag=["yes", "no"] * 3)
    table.rename_column("ra", "ALPHA")
    path = tmp_path / name
    if path.suffix in (".vot", ".gz"):
        table.write(path, format={".vot": "votable", ".gz": "ascii.csv"}[path.suffix])
    else:
        write_table(table, path)
    options = {**CLUSTER, "size_px": 8, "ra": "ALPHA", "member": "flag"}
    read, direct = (members_sample(arrays(), one, **options) for one in (path, table))
    assert read.object_ids.tolist() == direct.object_ids.tolist() == [f"A1-{i:04d}" for i in range(6)]
    assert read.labels.tolist() == direct.labels.tolist()
    np.testing.assert_array_equal(read.images, direct.images)


# Several fields


def test_on_disk_and_in_memory_are_the_same_whatever_the_batches(tmp_path):
    memory = members_sample(arrays(), inside(), **CLUSTER, size_px=8)
    disk = members_sample(arrays(), inside(), **CLUSTER, size_px=8, path=tmp_path / "s", batch_size=4)
    np.testing.assert_array_equal(disk.images, memory.images)
    assert disk.content_hash == memory.content_hash
    assert disk.provenance["fields"][0]["counts"] == memory.provenance["fields"][0]["counts"]
    assert disk.catalogue.colnames == memory.catalogue.colnames


def test_samples_of_several_clusters_are_joined(tmp_path):
    one = members_sample(arrays(), inside(extra=np.ones(6)), **CLUSTER, size_px=8)
    other = members_sample(arrays(), inside(), cluster="B2", redshift=0.5, size_px=8)
    joined = concatenate([one, other])
    disk = concatenate([one, other], path=tmp_path / "joined", batch_size=5)
    assert joined.catalogue["cluster"].tolist() == ["A1"] * 6 + ["B2"] * 6
    assert "extra" not in joined.catalogue.colnames
    np.testing.assert_array_equal(joined.images[6:], other.images)
    assert disk.content_hash == joined.content_hash
    assert counts_table(disk)["cluster"].tolist() == ["A1", "B2", "all"]
    assert counts(joined)["kept"] == 12
    assert joined.provenance["source"] == "mosaics of A1; mosaics of B2"
    with pytest.raises(InputError, match="object_id must be unique"):
        concatenate([one, one])
    with pytest.raises(InputError, match=r"same bands, got \('R', 'I'\) and \('R',\)"):
        concatenate([one, other.select(bands=("R",))])
    with pytest.raises(InputError, match="samples must hold at least one Sample"):
        concatenate([])
    bigger = members_sample(arrays(), inside(), cluster="C", redshift=0.5, size_px=8, pixel_scale=2 * SCALE)
    with pytest.raises(InputError, match="same pixel scale, got 0.065 arcsec and 0.13 arcsec"):
        concatenate([one, bigger])


def test_samples_in_other_units_of_flux_are_not_joined():
    def of(cluster, **zero_points):
        sample = members_sample(arrays(), inside(), cluster=cluster, redshift=0.5, size_px=8)
        for band, value in zero_points.items():
            sample.provenance["fields"][0]["mosaics"][band]["zero_point"] = value
        return sample

    assert len(concatenate([of("A", R=25.0), of("B", R=25.0)])) == 12
    red = [of(cluster, I=zero).select(bands=("R",)) for cluster, zero in (("A", 25.0), ("B", 26.0))]
    assert len(concatenate(red)) == 12
    with pytest.raises(InputError, match=r"zero point in 'R', got 25.0 of A, 25.9 of B; cut"):
        concatenate([of("A", R=25.0), of("B", R=25.9)])
    with pytest.raises(InputError, match=r"zero point in 'I', got None of A, 25.9 of B; cut"):
        concatenate([of("A"), of("B", I=25.9)])


@pytest.fixture
def two_fields(tmp_path):
    """Two clusters' folders with mosaics and catalogues, and the table that lists them."""
    for number, (name, bands) in enumerate({"A1": "RIJ", "B2": "RJ"}.items()):
        folder = tmp_path / name
        folder.mkdir()
        for band in bands:
            data = noise(seed=number)
            fits.PrimaryHDU(data, tangent().to_header()).writeto(folder / f"{name}_{band}.fits")
        write_table(inside(z_spec=[0.4, 0.5] * 3), folder / "catalogue.fits")
    table = Table({"cluster": ["A1", "B2"], "redshift": [0.4, 0.5], "folder": ["A1", "B2"]})
    write_table(table, tmp_path / "fields.ecsv")
    return tmp_path / "fields.ecsv"


def test_a_table_of_fields_becomes_one_sample(two_fields, tmp_path):
    sample = fields_sample(two_fields, size_px=8)
    assert sample.bands == ("R", "J")
    assert sample.labels.tolist() == ["member", "non-member"] * 3 + ["non-member", "member"] * 3
    parts = [
        members_sample(
            read_mosaics(tmp_path / name, bands=tuple("RJ")),
            tmp_path / name / "catalogue.fits",
            cluster=name,
            redshift=z,
            size_px=8,
        )
        for name, z in (("A1", 0.4), ("B2", 0.5))
    ]
    assert sample.content_hash == concatenate(parts).content_hash
    with pytest.raises(MissingDataError, match=r"among those of the mosaics \('R', 'J'\), got \['I'\]"):
        fields_sample(two_fields, bands=("R", "I"))
    with pytest.raises(MissingDataError, match=r"columns cluster \(or short\), redshift and folder"):
        fields_sample(Table({"name": ["A1"]}))


def test_bands_that_are_not_needed_may_be_absent_from_some_fields(two_fields, tmp_path):
    sample = fields_sample(two_fields, size_px=8, bands=("R", "I", "J"), needed=("R",), path=tmp_path / "s")
    assert sample.bands == ("R", "I", "J")
    blank = np.isnan(sample.band("I")).all(axis=(1, 2))
    assert blank.tolist() == [False] * 6 + [True] * 6
    assert sample.catalogue["coverage_I"].tolist() == [1.0] * 6 + [0.0] * 6
    first, second = sample.provenance["fields"]
    assert (first["absent"], second["absent"]) == ([], ["I"])
    assert (first["lacking"]["I"], second["lacking"]["I"]) == (0, 6)
    assert (second["lacking"]["J"], set(second["mosaics"])) == (0, {"R", "J"})
    with_i = complete_in(sample, ("R", "I"))
    assert set(with_i.catalogue["cluster"]) == {"A1"}
    whole = members_sample(
        read_mosaics(tmp_path / "A1"), tmp_path / "A1" / "catalogue.fits", **CLUSTER, size_px=8
    )
    np.testing.assert_array_equal(with_i.images, whole.select(bands=("R", "I")).images)
    np.testing.assert_array_equal(
        complete_in(sample, ("R", "J")).images, fields_sample(two_fields, size_px=8, bands=("R", "J")).images
    )
    one = members_sample(arrays(), at(), **CLUSTER, size_px=8, bands=("R", "K"), needed=("R",))
    assert np.isnan(one.band("K")).all()
    with pytest.raises(MissingDataError, match=r"bands must be there in one field at least, got \['K'\]"):
        fields_sample(two_fields, bands=("R", "K"), needed=("R",))
    with pytest.raises(InputError, match=r"needed must be among the bands \('R',\), got \['J'\]"):
        fields_sample(two_fields, bands=("R",), needed=("J",))
    with pytest.raises(InputError, match=r"bands must name different bands, one at least, got \('R', 'R'\)"):
        fields_sample(two_fields, bands=("R", "R"))
    with pytest.raises(InputError, match=r"bands must name different bands, one at least, got \(\)"):
        members_sample(arrays(), at(), **CLUSTER, needed=())


def test_absent_bands_are_blank_where_pixels_are_regridded_too():
    slanted = Mosaics.from_arrays({"R": noise()}, tangent(roll_deg=20))
    cutter = make_cutter(slanted, bands=("I", "R"), size_px=9)
    images = cutter(tangent().pixel_to_world([80.0], [70.0]))
    assert cutter.turn is None
    assert np.isnan(images[0, 0]).all()
    assert np.isfinite(images[0, 1]).all()


def test_only_labelled_sources_are_cut_out_where_asked():
    table = inside(z_spec=[0.4, np.nan, 0.5, 0.4, 0.9, np.nan], q=[3, 0, 3, 1, 9, 0])
    options = {**CLUSTER, "size_px": 8, "quality": "q", "accepted": (3, 9)}
    every = members_sample(arrays(), table, **options)
    known = members_sample(arrays(), table, **options, labelled=True)
    np.testing.assert_array_equal(known.images, every.images[every.labels != ""])
    assert known.object_ids.tolist() == ["A1-s0", "A1-s2", "A1-s4"]
    assert {name: counts(known)[name] for name in ("listed", "unlabelled", "kept", "unknown")} == {
        **{"listed": 6, "unlabelled": 3, "kept": 3, "unknown": 0}
    }
    assert (counts(every)["unlabelled"], counts(every)["unknown"]) == (0, 3)
    assert counts(known)["redshift_not_accepted"] == 1
    with pytest.raises(
        InputError, match="labelled=True needs sources of known membership, got none of 6 in A1"
    ):
        members_sample(arrays(), inside(z_spec=np.full(6, np.nan)), **CLUSTER, labelled=True)


def run(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["--quiet", *map(str, words)])
    return ended.value.code, *capsys.readouterr()


def test_the_verb_makes_one_field_or_several(two_fields, tmp_path, capsys):
    folder, out = tmp_path / "A1", tmp_path / "out"
    options = ("--catalogue", folder / "catalogue.fits", "--cluster", "A1", "--redshift", 0.4, "--size-px", 8)
    code, text, _ = run(capsys, "members", out, "--mosaics", folder, *options, "--bands", "R,I")
    assert (code, text.splitlines()[-1]) == (0, f"{out}: {Sample.load(out)!r}")
    assert Sample.load(out).bands == ("R", "I")
    pair = f"z={folder / 'A1_J.fits'}"
    assert run(capsys, "members", out, "--mosaics", pair, *options, "--overwrite")[0] == 0
    assert Sample.load(out).bands == ("z",)
    assert run(capsys, "members", out, "--fields", two_fields, "--size-px", 8, "--overwrite")[0] == 0
    assert len(Sample.load(out)) == 12
    needed = ("--bands", "R,I,J", "--needed", "R", "--size-px", 8, "--labelled", "--overwrite")
    code, text, _ = run(capsys, "members", out, "--fields", two_fields, *needed)
    assert (code, "unlabelled" in text, Sample.load(out).bands) == (0, True, ("R", "I", "J"))
    code, _, error = run(capsys, "members", tmp_path / "new", "--mosaics", folder)
    assert (code, "give --catalogue, --cluster, --redshift, or --fields" in " ".join(error.split())) == (
        2,
        True,
    )
    code, _, error = run(capsys, "members", tmp_path / "new", "--mosaics", pair, "--mosaics", "x", *options)
    assert (code, "one folder, or band=file for each band, got ['x']" in error) == (65, True)
    assert run(capsys, "members", tmp_path / "new", "--mosaics", tmp_path / "no", *options)[0] == 66


# Simulated and real fields


def test_a_simulated_field_is_the_same_from_disk_and_straight_from_the_simulation(tmp_path):
    field = simulate_field("M0416", seed=3, bands=("F606", "F814", "F105"), size_arcsec=40, scale=0.05)
    field.write(tmp_path / "M0416")
    options = {**{"cluster": "M0416", "redshift": field.cluster["redshift"]}, "quality": "z_quality"}
    options["accepted"] = (2, 3, 9)
    disk = members_sample(read_mosaics(tmp_path / "M0416"), tmp_path / "M0416" / "catalogue.fits", **options)
    straight = Mosaics.from_arrays(field.mosaics, field.wcs, origin=field.header("F814")["ORIGIN"])
    memory = members_sample(straight, field.catalogue, **options)
    assert disk.images.tobytes() == memory.images.tobytes()
    assert disk.content_hash == memory.content_hash
    assert disk.provenance["source"] == memory.provenance["source"] == "simulated CLASH field of M0416"
    spectra = disk.catalogue[disk.labels != ""]
    assert (np.asarray(spectra["coverage_F105"]) == 1).all()


def in_circle(image, x, y, radius):
    """Sum over a circle, pixels at its rim by the share that lies within."""
    fine = (np.arange(10 * len(image)) + 0.5) / 10 - 0.5
    inside = np.hypot(fine[:, None] - y, fine[None, :] - x) < radius
    share = inside.reshape(len(image), 10, len(image), 10).mean(axis=(1, 3))
    return float((share * image).sum())


def test_real_hst_bands_of_different_pixel_scale(real):
    """The stamps show one galaxy, but headers of the two cameras put it 2.1 arcsec apart: no colours here."""
    files = {"F606": "acs_f606w", "F814": "acs_f814w", "F160": "wfc3_f160w"}
    mosaics = read_mosaics(
        {b: real / "hst" / f"egs_13004304_{name}_cutout.fits" for b, name in files.items()}
    )
    x, y = 50.3, 46.9  # the galaxy in the ACS stamps
    sky = mosaics["F814"].wcs.pixel_to_world(x, y).icrs
    table = QTable({"ra": [sky.ra], "dec": [sky.dec], "z_spec": [1.0]})
    about = {"cluster": "EGS", "redshift": 0.4}
    sample = members_sample(mosaics, table, **about, size_px=40, pixel_scale=0.05 * u.arcsec)
    assert sample.provenance["fields"][0]["pixels"] == "regridded, flux conserved"
    for band, image in zip(sample.bands, sample.images[0], strict=True):
        one = mosaics[band]
        direct = in_circle(one.data, *one.wcs.world_to_pixel(sky), 0.8 / one.pixel_scale.value)
        assert in_circle(image, 19.5, 19.5, 0.8 / 0.05) == pytest.approx(direct, rel=0.01)
    slanted = mosaics.select(["F606", "F814"])  # one grid, 50 degrees from north
    optical = members_sample(slanted, table, **about, size_px=40, resample="never")
    assert optical.provenance["fields"][0]["pixels"] == "the mosaics' own"
    np.testing.assert_array_equal(optical.band("F814")[0], mosaics["F814"].data[27:67, 31:71])
    colours = []
    for images, scale in ((optical.images[0], 0.03), (sample.select(bands=("F606", "F814")).images[0], 0.05)):
        blue, red = (in_circle(image, 19.5, 19.5, 0.4 / scale) for image in images)
        colours.append(red / blue)
    assert colours[0] == pytest.approx(colours[1], rel=0.01)


def test_positions_in_real_cfhtls_bands(real):
    mosaics = read_mosaics(real / "cfhtls", pattern="lens_field_{band}.fits.gz")
    data = mosaics["i"].data
    y, x = np.unravel_index(np.argsort(data[60:380, 60:380], axis=None)[-1:], (320, 320))
    places = np.array([[x[0] + 60, y[0] + 60], [220, 220], [100.3, 300.4]])
    sky = mosaics["i"].wcs.pixel_to_world(*places.T)
    table = vstack([QTable({"ra": [s.ra], "dec": [s.dec], "z_spec": [0.4]}) for s in sky])
    sample = members_sample(mosaics, table, cluster="CFHTLS", redshift=0.4, size_px=65)
    for band in "gri":
        for (cx, cy), image in zip(np.rint(places).astype(int), sample.band(band), strict=True):
            direct = mosaics[band].data[cy - 32 : cy + 33, cx - 32 : cx + 33]
            np.testing.assert_array_equal(image, direct)
    assert sample.band("i")[0, 32, 32] == data[60:380, 60:380].max()
    assert sample.bands == ("g", "r", "i")
    assert sample.provenance["fields"][0]["mosaics"]["g"]["zero_point"] == 30

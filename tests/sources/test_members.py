"""Members cut out of mosaics: whose pixels, which bands, what is counted, from one field or several."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from mosaic_images import CLUSTER, INSIDE, SHAPE, noise, painted, sources_at, tangent, write_mosaic

from labkit.errors import InputError, MissingDataError
from labkit.images.cutouts import cutouts
from labkit.sample import Sample, concatenate
from labkit.simulate.hst.field import simulate_field
from labkit.sources import counts_table, fields_sample, members_sample, read_mosaics
from labkit.sources.members import with_configurations
from labkit.sources.members.cutouts import coverage_of, make_cutter
from labkit.sources.mosaics import Mosaics
from labkit.tables import write_table

SCALE = 0.065 * u.arcsec
#: Pixels x, y of four sources: two inside, one over the corner, one off the mosaic.
PLACES = np.array([[60.0, 50.0], [100.2, 79.7], [3.0, 4.0], [-300.0, 40.0]])


def arrays(**images):
    return Mosaics.from_arrays(images or {"R": noise(seed=1), "I": noise(seed=2)}, tangent())


def inside(**columns):
    return sources_at(INSIDE, **columns)


def cut(mosaics=None, table=None, **options):
    """The Sample of field A1; by default the sources inside, 8 x 8 px of noise in R and I."""
    options = {"size_px": 8} | CLUSTER | options
    return members_sample(mosaics or arrays(), inside() if table is None else table, **options)


def counts(sample):
    return {name: counts_table(sample)[name][-1] for name in counts_table(sample).colnames[1:]}


# Pixels


def test_cutouts_are_the_mosaics_own_pixels_from_disk_and_from_memory(tmp_path):
    images = {"R": noise(seed=1), "I": noise(seed=2)}
    for band, data in images.items():
        write_mosaic(tmp_path / f"x_{band}.fits", data)
    places = np.random.default_rng(3).uniform(20, 130, (40, 2))
    options = {"size_px": 16, "merge_radius": 0 * u.arcsec}
    disk = cut(read_mosaics(tmp_path, bands=tuple("RI")), sources_at(places), **options)
    memory = cut(arrays(**images), sources_at(places), **options)
    assert disk.images.tobytes() == memory.images.tobytes()
    x, y = np.floor(places - 7.5 + 0.5).astype(int).T
    for row in range(40):
        expected = [data[y[row] : y[row] + 16, x[row] : x[row] + 16] for data in images.values()]
        np.testing.assert_array_equal(disk.images[row], expected)
    assert disk.provenance["fields"][0]["pixels"] == "the mosaics' own"
    assert disk.pixel_scale.to_value(u.arcsec) == pytest.approx(0.065)


@pytest.mark.parametrize("size", [16, 17])
def test_a_source_lies_within_half_a_pixel_of_the_centre(size):
    ramp = np.tile(np.arange(SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
    cutter = make_cutter(arrays(R=ramp), size_px=size)
    for x in np.linspace(60, 61, 11):
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


def test_other_scales_and_angles_are_regridded_with_the_flux_conserved():
    bodies = [(*place, 100.0, 0.3 / 2.3548) for place in PLACES[:2]]
    infrared = tangent((90, 95), scale=0.13, roll_deg=25, flip=True)
    images = {"R": painted(bodies, tangent(), SHAPE), "H": painted(bodies, infrared, (90, 95))}
    mosaics = Mosaics.from_arrays(images, {"R": tangent(), "H": infrared})
    sample = cut(mosaics, sources_at(PLACES[:2]), size_px=32, pixel_scale=SCALE)
    assert sample.provenance["fields"][0]["pixels"] == "regridded, flux conserved"
    np.testing.assert_allclose(sample.images.sum(axis=(2, 3)), 100, rtol=0.01)
    y, x = np.mgrid[:32, :32] - 15.5
    for image in sample.images.reshape(-1, 32, 32):
        assert abs((image * x).sum() / 100) < 0.05
        assert abs((image * y).sum() / 100) < 0.05
    options = {"size": 32 * SCALE, "pixels": 32, "conserve": "flux", "fill": np.nan}
    sky = SkyCoord(sample.catalogue["ra"], sample.catalogue["dec"])
    direct = cutouts(images["H"], infrared, sky, **options)
    np.testing.assert_allclose(sample.band("H"), direct, rtol=1e-4, atol=1e-4)


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
    flux, brightness = (
        make_cutter(mosaics, pixel_scale=2 * SCALE, size_px=15, conserve=kept)(positions).mean()
        for kept in ("flux", "surface brightness")
    )
    assert flux == pytest.approx(4 * brightness, rel=1e-4)
    scaled = Mosaics.from_arrays({"R": noise()}, tangent(), zero_points={"R": 25.0})
    flux, brightness = (
        make_cutter(scaled, pixel_scale=2 * SCALE, conserve=kept).record()["R"]["zero_point"]
        for kept in ("flux", "surface brightness")
    )
    assert flux == 25
    assert brightness == pytest.approx(25 - 2.5 * np.log10(4))
    blank = make_cutter(slanted, bands=("I", "R"), size_px=9)(positions)
    assert np.isnan(blank[0, 0]).all()
    assert np.isfinite(blank[0, 1]).all()


COARSE = Mosaics.from_arrays(
    {"R": noise(), "H": noise((75, 85))}, {"R": tangent(), "H": tangent((75, 85), scale=0.13)}
)


@pytest.mark.parametrize(
    ("mosaics", "options", "message"),
    [
        (arrays(), {"size_px": 0}, "size_px must be at least 1, got 0"),
        (arrays(), {"pixel_scale": -1 * u.arcsec}, "pixel_scale must be one positive angle"),
        (arrays(), {"resample": "maybe"}, "resample must be one of .*'auto'"),
        (arrays(), {"resample": "never", "pixel_scale": 0.1 * u.arcsec}, "pixel scales are .* is asked for"),
        (COARSE, {}, r"different pixel scales \(R 0\.065 arcsec, H 0\.13 arcsec\); pass for"),
    ],
)
def test_options_of_the_cutting_are_checked(mosaics, options, message):
    with pytest.raises(InputError, match=message):
        make_cutter(mosaics, **options)


# Coverage


def test_sources_that_lack_a_band_are_dropped_and_counted():
    infrared = noise(seed=4)
    infrared[:, :80] = np.nan  # the first source lacks it
    mosaics, table = arrays(R=noise(), H=infrared), sources_at(PLACES)
    optical = cut(mosaics, table, size_px=16, bands=("R",))
    nothing = ("without_position", "merged", "unlabelled", "unknown")
    nothing += ("redshift_not_accepted", "redshift_sentinel", "contradicting")
    found = {"listed": 4, "outside": 1, "incomplete": 1, "kept": 2, "member": 1, "non-member": 1}
    assert counts(optical) == found | dict.fromkeys(nothing, 0)
    assert optical.object_ids.tolist() == ["A1-s0", "A1-s1"]
    both = cut(mosaics, table, size_px=16)
    assert both.object_ids.tolist() == ["A1-s1"]
    assert both.provenance["fields"][0]["lacking"] == {"R": 2, "H": 3}
    some = cut(mosaics, table, size_px=16, needed=("R",))
    assert np.isnan(some.band("H")[0]).all()
    assert some.catalogue["coverage_H"].tolist() == [0, 1]
    np.testing.assert_array_equal(some.select(bands=("R",)).images, optical.images)
    np.testing.assert_array_equal(some.images[1:], both.images)


def test_zeros_are_blank_unless_told_otherwise():
    image = noise()
    image[:, 65:] = 0
    options = {"table": sources_at(PLACES), "size_px": 16, "min_coverage": 0.65}
    blank = cut(arrays(R=image), **options)
    assert len(blank) == 1
    assert blank.catalogue["coverage_R"][0] == 0.75
    assert np.isnan(blank.images).mean() == 0.25
    kept = cut(arrays(R=image), **options, blank=None)
    assert kept.catalogue["coverage_R"].tolist() == [1, 1]


def test_a_hole_in_the_middle_is_no_coverage():
    images = np.ones((3, 1, 9, 9), np.float32)
    images[1, 0, 4, 4] = images[2, 0, 0, :] = np.nan
    np.testing.assert_allclose(coverage_of(images)[:, 0], [1, 0, 8 / 9])


BANDS_TWICE = r"bands must name different bands, one at least, got"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": sources_at(PLACES + 5000)}, r"A1: no source .* bands \('R', 'I'\) \(4 outside"),
        ({"bands": ("R", "J")}, r"bands must be among those that are there \('R', 'I'\), got \['J'\]"),
        ({"bands": ("R",), "needed": ("I",)}, r"needed must be among the bands \('R',\), got \['I'\]"),
        ({"bands": ("R", "R")}, rf"{BANDS_TWICE} \('R', 'R'\)"),
        ({"needed": ()}, rf"{BANDS_TWICE} \(\)"),
        ({"min_coverage": 0}, r"min_coverage must be above 0 and at most 1, got 0"),
        ({"batch_size": 0}, r"batch_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_cut_out_is_refused(options, message):
    with pytest.raises((InputError, MissingDataError), match=message):
        cut(**options)


# Catalogues


def test_a_flag_instead_of_velocities_and_a_catalogue_without_redshifts():
    table = inside(is_in=[True, False] * 3)
    assert cut(table=table, member="is_in").labels.tolist() == ["member", "non-member"] * 3
    table.remove_column("z_spec")
    bare = cut(table=table, z=None, source_id=None)
    assert set(bare.labels) == {""}
    assert bare.object_ids[:2].tolist() == ["A1-00000", "A1-00001"]
    assert bare.provenance["fields"][0]["warnings"] == []


@pytest.mark.parametrize(("z", "lacking"), [(0.4, "non-member"), (0.9, "member")])
def test_a_cluster_of_one_kind_only_is_a_warning_in_the_record(z, lacking, caplog):
    with caplog.at_level(logging.WARNING):
        sample = cut(table=inside(z_spec=np.full(6, z)))
    assert sample.provenance["fields"][0]["warnings"] == [f"A1: none of the sources is a {lacking}"]
    assert f"none of the sources is a {lacking}" in caplog.text


def test_a_computed_coverage_stands_beside_that_of_the_list():
    sample = cut(table=inside(coverage_R=np.arange(6)))
    assert sample.catalogue["coverage_R_listed"].tolist() == list(range(6))
    assert (sample.catalogue["coverage_R"] == 1).all()


def test_only_labelled_sources_are_cut_out_where_asked():
    table = inside(z_spec=[0.4, np.nan, 0.5, 0.4, 0.9, np.nan], q=[3, 0, 3, 1, 9, 0])
    options = {"table": table, "quality": "q", "accepted": (3, 9)}
    every, known = cut(**options), cut(**options, labelled=True)
    np.testing.assert_array_equal(known.images, every.images[every.labels != ""])
    assert known.object_ids.tolist() == ["A1-s0", "A1-s2", "A1-s4"]
    shown = ("listed", "unlabelled", "kept", "unknown", "redshift_not_accepted")
    assert [counts(known)[name] for name in shown] == [6, 3, 3, 0, 1]
    assert [counts(every)[name] for name in shown] == [6, 0, 6, 3, 1]


# Several fields


def test_on_disk_and_in_memory_are_the_same_whatever_the_batches(tmp_path):
    memory, disk = cut(), cut(path=tmp_path / "s", batch_size=4)
    np.testing.assert_array_equal(disk.images, memory.images)
    assert disk.content_hash == memory.content_hash
    assert disk.provenance["fields"][0]["counts"] == memory.provenance["fields"][0]["counts"]
    assert disk.catalogue.colnames == memory.catalogue.colnames


def test_samples_of_several_clusters_are_joined(tmp_path):
    one, other = cut(table=inside(extra=np.ones(6))), cut(cluster="B2", redshift=0.5)
    joined = concatenate([one, other])
    disk = concatenate([one, other], path=tmp_path / "joined")
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
    with pytest.raises(InputError, match="same pixel scale, got 0.065 arcsec and 0.13 arcsec"):
        concatenate([one, cut(cluster="C", pixel_scale=2 * SCALE)])


def test_samples_in_other_units_of_flux_are_not_joined():
    def of(cluster, **zero_points):
        sample = cut(cluster=cluster)
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
        for band in bands:
            write_mosaic(tmp_path / name / f"{name}_{band}.fits", noise(seed=number))
        write_table(inside(z_spec=[0.4, 0.5] * 3), tmp_path / name / "catalogue.fits")
    table = Table({"cluster": ["A1", "B2"], "redshift": [0.4, 0.5], "folder": ["A1", "B2"]})
    write_table(table, tmp_path / "fields.ecsv")
    return tmp_path / "fields.ecsv"


def test_a_table_of_fields_becomes_one_sample(two_fields, tmp_path):
    sample = fields_sample(two_fields, size_px=8)
    assert sample.bands == ("R", "J")
    assert sample.labels.tolist() == ["member", "non-member"] * 3 + ["non-member", "member"] * 3
    parts = []
    for name, z in (("A1", 0.4), ("B2", 0.5)):
        mosaics = read_mosaics(tmp_path / name, bands=tuple("RJ"))
        parts.append(cut(mosaics, tmp_path / name / "catalogue.fits", cluster=name, redshift=z))
    assert sample.content_hash == concatenate(parts).content_hash
    with pytest.raises(MissingDataError, match=r"among those that are there \('R', 'J'\), got \['I'\]"):
        fields_sample(two_fields, bands=("R", "I"))
    with pytest.raises(MissingDataError, match=r"bands must be there in one field at least, got \['K'\]"):
        fields_sample(two_fields, bands=("R", "K"), needed=("R",))
    with pytest.raises(
        MissingDataError, match=r"fields must have the columns \['short', 'redshift', 'folder'\]"
    ):
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
    with_i = with_configurations(sample, {"RI": ("R", "I")}).catalogue["label_RI"]
    assert (with_i != "").tolist() == [True] * 6 + [False] * 6
    whole = cut(read_mosaics(tmp_path / "A1"), tmp_path / "A1" / "catalogue.fits")
    np.testing.assert_array_equal(
        sample.select(np.arange(6), bands=("R", "I")).images, whole.select(bands=("R", "I")).images
    )
    both = fields_sample(two_fields, size_px=8, bands=("R", "J"))
    np.testing.assert_array_equal(sample.select(bands=("R", "J")).images, both.images)
    assert np.isnan(cut(bands=("R", "K"), needed=("R",)).band("K")).all()


def test_the_verb_makes_one_field_or_several(two_fields, tmp_path, run_verb):
    folder, out, new = tmp_path / "A1", tmp_path / "out", tmp_path / "new"
    options = ("--catalogue", folder / "catalogue.fits", "--cluster", "A1", "--redshift", 0.4, "--size-px", 8)
    code, text, _ = run_verb("members", out, "--mosaics", folder, *options, "--bands", "R,I")
    assert (code, text.splitlines()[-1]) == (0, f"{out}: {Sample.load(out)!r}")
    assert Sample.load(out).bands == ("R", "I")
    pair = f"z={folder / 'A1_J.fits'}"
    assert run_verb("members", out, "--mosaics", pair, *options, "--overwrite")[0] == 0
    assert Sample.load(out).bands == ("z",)
    assert run_verb("members", out, "--fields", two_fields, "--size-px", 8, "--overwrite")[0] == 0
    assert len(Sample.load(out)) == 12
    needed = ("--bands", "R,I,J", "--needed", "R", "--size-px", 8, "--labelled", "--overwrite")
    code, text, _ = run_verb("members", out, "--fields", two_fields, *needed)
    assert (code, "unlabelled" in text, Sample.load(out).bands) == (0, True, ("R", "I", "J"))
    code, _, error = run_verb("members", new, "--mosaics", folder)
    assert (code, "give --catalogue, --cluster, --redshift, or --fields" in error) == (2, True)
    code, _, error = run_verb("members", new, "--mosaics", pair, "--mosaics", "x", *options)
    assert (code, "--mosaics must be given once, or as band=value once for each band, got" in error) == (
        65,
        True,
    )
    assert run_verb("members", new, "--mosaics", tmp_path / "no", *options)[0] == 66


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
    mosaics = read_mosaics(real / "hst", pattern="egs_13004304_*_{band}_cutout.fits")
    x, y = 50.3, 46.9  # the galaxy in the ACS stamps
    sky = mosaics["f814w"].wcs.pixel_to_world(x, y).icrs
    table = QTable({"ra": [sky.ra], "dec": [sky.dec], "z_spec": [1.0]})
    sample = cut(mosaics, table, size_px=40, pixel_scale=0.05 * u.arcsec)
    assert sample.provenance["fields"][0]["pixels"] == "regridded, flux conserved"
    for band, image in zip(sample.bands, sample.images[0], strict=True):
        one = mosaics[band]
        direct = in_circle(one.data, *one.wcs.world_to_pixel(sky), 0.8 / one.pixel_scale.value)
        assert in_circle(image, 19.5, 19.5, 0.8 / 0.05) == pytest.approx(direct, rel=0.01)
    slanted = mosaics.select(["f606w", "f814w"])  # one grid, 50 degrees from north
    optical = cut(slanted, table, size_px=40, resample="never")
    assert optical.provenance["fields"][0]["pixels"] == "the mosaics' own"
    np.testing.assert_array_equal(optical.band("f814w")[0], mosaics["f814w"].data[27:67, 31:71])
    colours = []
    for found, scale in ((optical, 0.03), (sample, 0.05)):
        light = [in_circle(found.band(band)[0], 19.5, 19.5, 0.4 / scale) for band in slanted.bands]
        colours.append(light[1] / light[0])
    assert colours[0] == pytest.approx(colours[1], rel=0.01)


def test_positions_in_real_cfhtls_bands(real):
    mosaics = read_mosaics(real / "cfhtls", pattern="lens_field_{band}.fits.gz")
    data = mosaics["i"].data
    y, x = np.unravel_index(np.argsort(data[60:380, 60:380], axis=None)[-1:], (320, 320))
    places = np.array([[x[0] + 60, y[0] + 60], [220, 220], [100.3, 300.4]])
    sky = mosaics["i"].wcs.pixel_to_world(*places.T)
    table = vstack([QTable({"ra": [s.ra], "dec": [s.dec], "z_spec": [0.4]}) for s in sky])
    sample = cut(mosaics, table, size_px=65)
    for band in "gri":
        for (cx, cy), image in zip(np.rint(places).astype(int), sample.band(band), strict=True):
            direct = mosaics[band].data[cy - 32 : cy + 33, cx - 32 : cx + 33]
            np.testing.assert_array_equal(image, direct)
    assert sample.band("i")[0, 32, 32] == data[60:380, 60:380].max()
    assert sample.bands == ("g", "r", "i")
    assert sample.provenance["fields"][0]["mosaics"]["g"]["zero_point"] == 30

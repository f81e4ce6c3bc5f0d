import json
import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError, MissingDataError
from labkit.images import normalise
from labkit.images.coordinates import tangent_plane
from labkit.images.xamin import xamin_optical
from labkit.sources import candidates_sample, cut_plates, read_observation, read_plates

POINTING = SkyCoord(150 * u.deg, -11 * u.deg)
SIDE = 240


def make_wcs(*, scale=5.0, shift=0.0):
    wcs = tangent_plane(150, -11, scale, (SIDE, SIDE))
    wcs.wcs.crpix += shift
    return wcs


def write(path, data, wcs=None):
    header = (wcs or make_wcs()).to_header()
    header["RA_PNT"], header["DEC_PNT"], header["OBS_ID"], header["OBJECT"] = 150.0, -11.0, "0123", "A1"
    fits.PrimaryHDU(data, header).writeto(path)
    return path


@pytest.fixture
def field(tmp_path):
    """Images and exposure maps of three detectors: a circular field of 8', a source 2' to the east."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    inside = np.hypot(x, y) < 96
    source = 5 * np.exp(-((x + 24) ** 2 + y**2) / 8)
    paths = {"images": [], "exposures": []}
    for seed, name in enumerate(("pn", "mos1", "mos2")):
        counts = np.random.default_rng(seed).poisson(np.where(inside, 0.2 + source, 0)).astype(float)
        paths["images"].append(write(tmp_path / f"{name}.fits.gz", counts))
        paths["exposures"].append(write(tmp_path / f"{name}_exp.fits.gz", 1e4 * inside.astype(np.float32)))
    return paths


def east(*arcmin):
    return POINTING.directional_offset_by(90 * u.deg, list(arcmin) * u.arcmin)


def test_detectors_are_summed(field):
    observation = read_observation(**field)
    expected = sum(fits.getdata(path) for path in field["images"])
    np.testing.assert_array_equal(observation.image, expected)
    assert observation.exposure.max() == 30000
    assert observation.pointing.separation(POINTING) < 0.01 * u.arcsec
    assert observation.about["observation"] == "0123"
    assert observation.about["images"] == ["pn.fits.gz", "mos1.fits.gz", "mos2.fits.gz"]


@pytest.mark.parametrize(
    ("cards", "telescope", "instrument"),
    [
        ({}, "", ""),
        ({"TELESCOP": "XMM", "INSTRUME": "EPN"}, "XMM-Newton", "EPN"),
        ({"INSTRUME": "EMOS1"}, "XMM-Newton", "EMOS1"),
        ({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS"}, "CHANDRA", "ACIS"),
    ],
)
def test_the_telescope_is_what_the_headers_say(field, cards, telescope, instrument):
    for path in field["images"]:
        with fits.open(path, mode="update") as hdus:
            hdus[0].header.update(cards)
    observation = read_observation(**field)
    assert (observation.about["telescope"], observation.about["instrument"]) == (telescope, instrument)
    about = candidates_sample(observation, east(0), pixels=24).provenance
    assert about["telescope"] == telescope
    assert about["source"] == f"{telescope or 'X-ray'} observation of A1"
    with fits.open(field["images"][0], mode="update") as hdus:
        hdus[0].header["TELESCOP"], hdus[0].header["INSTRUME"] = "SRG/eROSITA", "TM1"
    if telescope:
        with pytest.raises(InputError, match="images must be of one telescope, got .*'SRG/eROSITA'"):
            read_observation(**field)


def test_candidates_become_a_raw_sample(field):
    sample = candidates_sample(read_observation(**field), east(2, 0, 6.5), pixels=120)
    assert sample.shape == (3, 1, 120, 120)
    assert sample.bands == ("xray",)
    assert sample.pixel_scale.to_value(u.arcsec) == pytest.approx(3.5)
    assert list(sample.labels) == [""] * 3
    rows = sample.catalogue
    np.testing.assert_allclose(rows["off_axis"].to_value(u.arcmin), [2, 0, 6.5], atol=1e-4)
    np.testing.assert_allclose(rows["x_image"].to_value(u.pix), [120.5 - 24, 120.5, 120.5 - 78], atol=0.01)
    np.testing.assert_allclose(rows["y_image"].to_value(u.pix), 120.5, atol=0.1)
    assert list(rows["partial"]) == [False, False, True]
    assert rows["exposure"][0] == 30000 * u.s
    assert rows["counts"][0] == max(rows["counts"])
    assert json.loads(json.dumps(sample.provenance)) == sample.provenance
    bright = gaussian_filter(sample.images[0, 0], 3)
    assert np.hypot(*(np.array(np.unravel_index(bright.argmax(), bright.shape)) - 59.5)) < 2


@pytest.mark.parametrize("pixels", [60, 178, 356])
def test_counts_are_those_of_the_image(field, pixels):
    observation = read_observation(**field)
    sample = candidates_sample(observation, east(0), size=10 * u.arcmin, pixels=pixels)
    box = observation.image[60:180, 60:180]
    assert sample.images.sum(dtype=float) == pytest.approx(box.sum(), rel=1e-3)


def test_negative_and_fractional_counts_of_one_image_without_exposure_are_kept(field, tmp_path):
    data = fits.getdata(field["images"][0]) - 0.13
    observation = read_observation(write(tmp_path / "ootsub.fits", data))
    assert observation.exposure is None
    sample = candidates_sample(observation, east(0))
    assert "exposure" not in sample.catalogue.colnames
    assert sample.catalogue["coverage"][0] == pytest.approx(1)
    assert sample.images.min() < 0
    assert normalise(sample).images.max() == 255


def test_own_columns_are_kept_beside_the_computed_ones(field):
    observation = read_observation(**field)
    plain = candidates_sample(observation, east(0, 2), pixels=61).catalogue
    beside = {"counts": [7, 8], "coverage": [9.0, 9.5], "off_axis": ["near", "far"], "partial": [1, 2]}
    own = {"extent": [3.0, 9.0], "label": ["", "edge"]} | beside
    table = QTable({"object_id": ["a", "b"], "ra": east(0, 2).ra, "dec": east(0, 2).dec, **own})
    rows = candidates_sample(observation, table, pixels=61).catalogue
    for name, values in own.items():
        assert rows[name].tolist() == values
    for name in beside:
        np.testing.assert_array_equal(rows[f"{name}_cutout"], plain[name])
    assert "exposure_cutout" not in rows.colnames
    again = candidates_sample(observation, rows, pixels=61).catalogue
    np.testing.assert_array_equal(again["counts_cutout"], plain["counts"])
    np.testing.assert_array_equal(again["counts_cutout_cutout"], plain["counts"])


@pytest.mark.parametrize(
    ("ra", "dec", "right"),
    [
        (None, -11.0, None),
        ("10:00:00", "-11:00:00", None),
        (150.0, -999.0, None),
        ("NaN", "NaN", None),
        (361.0, -11.0, None),
        ("150.5", "-11.5", (150.5, -11.5)),
        (0, 90, (0, 90)),
    ],
)
def test_a_pointing_that_is_none_is_as_if_absent(tmp_path, ra, dec, right, caplog):
    paths = [write(tmp_path / name, np.random.default_rng(0).poisson(1, (SIDE, SIDE))) for name in "ab"]
    with fits.open(paths[0], mode="update") as hdus:
        hdus[0].header["RA_PNT"], hdus[0].header["DEC_PNT"], hdus[0].header["OBJECT"] = ra, dec, None
    first, both = read_observation(paths[0]), read_observation(paths)
    found = None if first.pointing is None else (first.pointing.ra.deg, first.pointing.dec.deg)
    assert found == (right if right is None else pytest.approx(right))
    assert ("a: RA_PNT is" in caplog.text or "a: DEC_PNT is" in caplog.text) == (right is None)
    assert first.about["target"] == ""
    assert both.pointing.ra.deg == pytest.approx(150.0 if right is None else right[0])


def test_candidates_outside_are_named_or_counted(field, caplog):
    observation = read_observation(**field)
    with pytest.raises(InputError, match=r"got 1 that do not: J\d+\.\d-\d+; .* or pass outside='drop'"):
        candidates_sample(observation, east(0, 16))
    with caplog.at_level(logging.WARNING, "labkit.sources.xmm"):
        sample = candidates_sample(observation, east(0, 16), outside="drop")
    assert "left out 1 of 2 candidates" in caplog.text
    assert len(sample) == sample.provenance["dropped"] == 1
    for outside in ("raise", "drop"):
        with pytest.raises(InputError, match="candidates must overlap the image, got none of 2"):
            candidates_sample(observation, east(50, 60), outside=outside)


def test_other_grids_and_options_are_refused(field, tmp_path):
    image, maps = field["images"][0], field["exposures"]
    small = write(tmp_path / "small.fits", np.eye(100))
    moved = write(tmp_path / "moved.fits", np.eye(SIDE), make_wcs(shift=3))
    finer = write(tmp_path / "finer.fits", np.eye(SIDE), make_wcs(scale=4))
    for images, exposures, message in [
        (image, small, r"one shape, got \(240, 240\) and \(100, 100\) in 'pn.fits.gz' and 'sm"),
        ([image, moved], None, r"share their world coordinates, got 4\.24 pixels between"),
        (image, finer, "reproject one to the other"),
        (field["images"], maps[:2], "exposures must be one map, or one for each of 3 images, got 2"),
        ([], None, "images must name at least one file"),
        (maps, field["images"], r"images must hold counts, got 'pn_exp\.fits\.gz', smoother"),
        (maps[0], maps[0], "is it the exposure map"),
    ]:
        with pytest.raises(InputError, match=message):
            read_observation(images, exposures)
    observation = read_observation(image)
    with pytest.raises(InputError, match="outside must be one of .*'drop'"):
        candidates_sample(observation, east(0), outside="ignore")
    with pytest.raises(InputError, match="paths must name at least one plate"):
        candidates_sample(observation, east(0), optical=[])


def test_plates_add_the_optical_band(field, tmp_path):
    noise = np.random.default_rng(5).normal(9000, 90, (SIDE, SIDE))
    plate = write(tmp_path / "plate.fits", noise, make_wcs(scale=2.2))  # 8.8 arcmin wide
    observation = read_observation(**field)
    sample = candidates_sample(observation, east(0), optical=plate)
    assert sample.bands == ("xray", "optical")
    assert np.median(sample.band("optical")) == pytest.approx(9000, rel=0.01)
    assert list(sample.catalogue["plate"]) == ["plate.fits"]
    message = r"got 1 of 2 that lie on none as a whole: J.*without_optical="
    with pytest.raises(MissingDataError, match=message):
        candidates_sample(observation, east(0, 4), optical=plate)
    assert len(candidates_sample(observation, east(0, 4), optical=plate, without_optical="drop")) == 1
    plain = candidates_sample(observation, east(0, 4), optical=plate, without_optical="omit band")
    assert plain.bands == ("xray",)
    assert len(plain) == 2


@pytest.fixture(scope="module", params=[("a907_0201903501", 32), ("a907_0404910601", 21)], ids=lambda p: p[0])
def a907(request, real):
    name, number = request.param
    folder = real / "xmm" / name
    paths = {
        kind: [folder / f"{d}_0.5-2.0keV_{kind}.fits.gz" for d in ("pn", "mos1", "mos2", "epic")]
        for kind in ("image", "exposure")
    }
    return paths, folder / "xapa_sources.reg", number


@pytest.fixture(scope="module")
def a907_sample(a907):
    paths, regions, number = a907
    sample = candidates_sample(read_observation(paths["image"][:3], paths["exposure"][:3]), regions)
    assert sample.shape == (number, 1, 178, 178)
    return sample


def test_real_candidates_of_abell_907(a907_sample):
    sample = a907_sample
    rows = sample.catalogue
    assert set(rows["region_colour"]) <= {"red", "green", "blue", "magenta"}
    assert (rows["coverage"] > 0.5).all()
    assert rows["partial"].sum() >= 3
    cluster = int(rows["counts"].argmax())
    assert rows["region_colour"][cluster] == "green"
    assert rows["x_image"][cluster].value == pytest.approx(257.5, abs=2)
    smooth = gaussian_filter(sample.images[cluster, 0], 4)
    y, x = np.unravel_index(smooth.argmax(), smooth.shape)
    assert np.hypot(x - 88.5, y - 88.5) * sample.pixel_scale < 6 * u.arcsec


def test_real_cutouts_hold_the_counts_of_their_box(a907):
    paths, regions, _ = a907
    observation = read_observation(paths["image"][3], paths["exposure"][3])
    sample = candidates_sample(observation, regions)
    half = 3.5 / 60 / 0.00120833333
    y, x = np.mgrid[:512, :512]
    for row, image in zip(sample.catalogue, sample.images[:, 0], strict=True):
        share = [
            np.clip(half + 0.5 - np.abs(axis + 1 - row[name].value), 0, 1)
            for axis, name in ((x, "x_image"), (y, "y_image"))
        ]
        box = (observation.image * share[0] * share[1]).sum()
        assert image.sum(dtype=float) == pytest.approx(box, rel=0.01)


def test_the_sum_of_detectors_is_the_epic_image_but_for_out_of_time_events(a907):
    paths, _, _ = a907
    total = read_observation(paths["image"][:3]).image.sum(dtype=float)
    epic = read_observation(paths["image"][3]).image.sum(dtype=float)
    pn = read_observation(paths["image"][0]).image.sum(dtype=float)
    assert (total - epic) / pn == pytest.approx(0.063, abs=0.005)


def test_real_cutouts_keep_a_white_sky_and_black_source(a907_sample):
    sample = a907_sample
    levels = normalise(sample).band("xray")
    assert (np.median(levels, axis=(1, 2)) > 200).all()
    assert np.median(levels[int(sample.catalogue["counts"].argmax())][84:94, 84:94]) < 20


def test_a_real_archive_image(real):
    folder = real / "xmm" / "a1835_mos2"
    observation = read_observation(folder / "mos2_image.fits.gz", folder / "mos2_exposure.fits.gz")
    peak = gaussian_filter(observation.image, 3)
    y, x = np.unravel_index(peak.argmax(), peak.shape)
    sample = candidates_sample(observation, observation.wcs.pixel_to_world([x], [y]).icrs)
    smooth = gaussian_filter(sample.images[0, 0], 4)
    found = np.unravel_index(smooth.argmax(), smooth.shape)
    assert np.hypot(found[0] - 88.5, found[1] - 88.5) < 3
    assert sample.catalogue["coverage"][0] > 0.95


# Plates


@pytest.fixture
def plates(tmp_path):
    """Two plates of sky noise with a star at the centre, 10 arcmin wide."""
    y, x = np.mgrid[:600, :600] - 299.5
    for ra in (20, 21):
        data = np.random.default_rng(1).normal(5000 + 10 * ra, 50, y.shape)
        data += 9000 * np.exp(-(x**2 + y**2) / 18)
        write(tmp_path / f"{ra}.fits", data.astype(np.float32), tangent_plane(ra, 10, 1.0, y.shape))
    return read_plates([tmp_path / "20.fits", tmp_path / "21.fits"])


def test_an_object_comes_from_the_plate_that_covers_it(plates):
    result = cut_plates(plates, SkyCoord([20.0, 21.0, 20.02] * u.deg, [10.0, 10.0, 10.0] * u.deg), pixels=90)
    assert list(result.plate) == ["20.fits", "21.fits", "20.fits"]
    assert result.complete.all()
    np.testing.assert_allclose(np.median(result.images, axis=(1, 2)), [5200, 5210, 5200], atol=5)
    for image in result.images[:2]:
        assert np.unravel_index(image.argmax(), image.shape)[0] in (44, 45)


def test_off_the_plates_is_unknown_not_zero(plates):
    result = cut_plates(plates, SkyCoord([20.07, 30.0] * u.deg, [10.0, 10.0] * u.deg), pixels=60)
    assert not result.complete.any()
    assert 0.5 < result.coverage[0] < 0.95
    assert np.isnan(result.images[0]).any()
    assert np.nanmin(result.images[0]) > 4000
    assert list(result.plate) == ["20.fits", ""]
    assert np.isnan(result.images[1]).all()


def test_the_plate_solution_of_a_real_plate(real):
    (plate,) = read_plates(real / "dss2" / "horsehead_poss2_red.fits.gz")
    with fits.open(plate.path) as hdus:
        header = hdus[0].header
    linear = WCS(naxis=2)
    linear.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    linear.wcs.crval = [header["CRVAL1"], header["CRVAL2"]]
    linear.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
    linear.wcs.cd = [[header["CD1_1"], header["CD1_2"]], [header["CD2_1"], header["CD2_2"]]]
    x, y = np.meshgrid([50, 445, 840], [50, 446, 840])
    separation = plate.wcs.pixel_to_world(x, y).separation(linear.pixel_to_world(x, y))
    assert separation.max() < 2 * u.arcsec


def test_cutouts_of_a_real_plate(real):
    (plate,) = read_plates(real / "dss2" / "horsehead_poss2_red.fits.gz")
    inner = plate.data[300:600, 300:600]
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    positions = plate.wcs.pixel_to_world([x + 300, 445], [y + 300, 446]).icrs
    result = cut_plates([plate], positions)
    assert result.complete.all()
    assert np.nanmax(result.images[0][86:92, 86:92]) > 0.9 * inner.max()
    native = plate.data[446 - 208 : 446 + 208, 445 - 208 : 445 + 208]
    assert np.median(result.images[1]) == pytest.approx(np.median(native), rel=0.01)
    assert 20 < np.median(xamin_optical(result.images[1])) < 240

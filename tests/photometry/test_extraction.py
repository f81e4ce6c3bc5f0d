"""Sources found and measured on images whose truth is known, matched and turned into colours."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.images.coordinates import tangent_plane
from labkit.photometry import colours, extract, magnitude_at, match, redshift_offset
from labkit.photometry.detection import shared_noise
from labkit.simulate.hst import BANDS
from labkit.simulate.hst.painting import expose

SIDE, NOISE = 240, 0.01
ZEROPOINTS = {"F606": 26.5, "F814": 25.9}
SHARE = {"F606": 10 ** (-0.4 * (1.0 + 25.9 - 26.5)), "F814": 1.0}  # a colour of 1 mag


WCS = tangent_plane(64.0, -24.0, 0.065, (SIDE, SIDE))


def measured(images, **options):
    return extract(images, **({"wcs": WCS, "zeropoints": ZEROPOINTS} | options))


def galaxy(x, y, flux, size, *, ratio=1.0, angle=0.0):
    """An exponential disc of a total flux."""
    yy, xx = np.mgrid[:SIDE, :SIDE]
    dx, dy = xx - x, yy - y
    a, b = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
    image = np.exp(-np.hypot(a, b / ratio) / size)
    return flux * image / (2 * np.pi * size**2 * ratio)


def field(places, *, rng=0, share=SHARE):
    rng = np.random.default_rng(rng)
    light = sum(galaxy(*place) for place in places) if places else np.zeros((SIDE, SIDE))
    return {band: s * light + rng.normal(0, NOISE, light.shape) for band, s in share.items()}


PLACES = [
    (60.3, 50.7, 40.0, 3.0),
    (170.0, 60.0, 15.0, 2.0),
    (70.0, 180.0, 80.0, 4.0),
    (180.2, 190.9, 8.0, 2.0),
]


def nearest(table, x, y):
    distance = np.hypot(table["x"] - x, table["y"] - y)
    assert distance.min() < 1
    return table[int(distance.argmin())]


def test_positions_magnitudes_and_colours():
    table = measured(field(PLACES))
    assert len(table) == len(PLACES)
    for x, y, flux, _ in PLACES:
        row = nearest(table, x, y)
        true = 25.9 - 2.5 * np.log10(flux)
        assert row["mag_F814"].value == pytest.approx(true, abs=0.12)  # AUTO holds about 94 % of a disc
        assert (row["aper_F606"] - row["aper_F814"]).value == pytest.approx(1.0, abs=0.06)
        sky = WCS.pixel_to_world(row["x"], row["y"])
        assert sky.ra.deg == pytest.approx(row["ra"].value)
        assert sky.dec.deg == pytest.approx(row["dec"].value)
    assert table["mag_F814"].unit == u.mag
    assert (np.diff(table["mag_F814"].value) > 0).all()  # brightest first


@pytest.mark.parametrize(("name", "shared"), [("", 1.0), ("F814", 1.26), ("F160", 2.0)])
def test_noise_that_pixels_share_is_seen_beside_sources(name, shared):
    kernel = BANDS[name].noise_kernel() if name else None
    light = sum(galaxy(*place) for place in PLACES).astype(np.float32)
    image = expose(np.random.default_rng(1), light, sky_sigma=NOISE, exposure_s=1e6, kernel=kernel)
    assert shared_noise(image, np.isnan(image)) == pytest.approx(shared, rel=0.06)
    assert shared_noise(np.ones((20, 20), np.float32), np.zeros((20, 20), bool)) == 1.0
    assert shared_noise(image, np.ones(image.shape, bool)) == 1.0


def test_errors_are_the_scatter_where_pixels_share_noise():
    places = [(20.0 + 40 * i, 20.0 + 40 * j, 6.0, 1.5) for i in range(6) for j in range(6)]
    light = sum(galaxy(*place) for place in places).astype(np.float32)
    pulls, sky = [], {"sky_sigma": NOISE, "exposure_s": 1e6, "kernel": BANDS["F160"].noise_kernel()}
    for seed in range(4):
        images = {"F814": expose(np.random.default_rng(seed), light, **sky)}
        table = measured(images, zeropoints={"F814": 25.9}, threshold=4.0)
        rows = [nearest(table, *place[:2]) for place in places]
        pulls.append([[row["aper_F814"].value, row["aper_F814_err"].value] for row in rows])
    magnitude, error = np.moveaxis(np.array(pulls), 2, 0)
    assert np.sqrt(np.mean(magnitude.var(axis=0, ddof=1))) == pytest.approx(error.mean(), rel=0.2)


def test_errors_are_the_scatter_of_repeated_exposures():
    pulls, errors = [], []
    for seed in range(12):
        table = measured(field(PLACES, rng=seed), noise=dict.fromkeys(SHARE, NOISE))
        row = nearest(table, *PLACES[3][:2])
        pulls.append(row["aper_F814"].value)
        errors.append(row["aper_F814_err"].value)
    assert np.std(pulls, ddof=1) == pytest.approx(np.mean(errors), rel=0.6)
    rich = measured(field(PLACES), gain=dict.fromkeys(SHARE, 100.0))
    plain = measured(field(PLACES))
    assert (rich["mag_F814_err"] > plain["mag_F814_err"]).all()


def test_a_zero_point_moves_magnitudes_and_nothing_else():
    images = field(PLACES)
    first = measured(images, detect_on="F814")
    second = measured(images, zeropoints=ZEROPOINTS | {"F606": 27.5}, detect_on="F814")
    moved = (second["mag_F606"] - first["mag_F606"]).value[:4]
    np.testing.assert_allclose(moved, 1, atol=1e-6)
    np.testing.assert_array_equal(second["mag_F814"], first["mag_F814"])


def test_a_band_that_does_not_cover_a_source_gives_nan_and_keeps_it():
    images = field(PLACES)
    images["F606"][:, 130:] = np.nan
    table = measured(images)
    assert len(table) == len(PLACES)
    for x, y, *_ in PLACES:
        row = nearest(table, x, y)
        assert np.isfinite(row["mag_F814"])
        assert np.isnan(row["mag_F606"]) == (x > 130)
        assert np.isnan(row["aper_F606_err"]) == (x > 130)


def test_neighbours_are_separated_and_do_not_share_light():
    pair = [(115.0, 120.0, 40.0, 2.5), (133.0, 120.0, 40.0, 2.5)]
    table = measured(field(pair))
    assert len(table) == 2
    alone = measured(field(pair[:1]))
    difference = nearest(table, 115, 120)["mag_F814"] - alone["mag_F814"][0]
    assert abs(difference.value) < 0.15


def test_a_galaxy_in_the_halo_of_a_large_one_is_found_and_measured_without_its_light():
    small = (150.0, 120.0, 12.0, 2.0)
    halo = (100.0, 120.0, 20_000.0, 22.0)
    table = measured(field([halo, small]), wide_mesh_arcsec=60)
    true = 25.9 - 2.5 * np.log10(small[2])
    assert nearest(table, *small[:2])["mag_F814"].value == pytest.approx(true, abs=0.25)
    assert not nearest(table, *small[:2])["halo"]
    assert nearest(table, *halo[:2])["halo"]
    assert table["halo"].sum() == 1
    assert len(table) <= 4  # what is left of the model is not a crowd of sources


def test_bands_blurred_to_one_psf_have_the_colour_of_the_source():
    def star(sigma):
        yy, xx = np.mgrid[:SIDE, :SIDE]
        return 50 * np.exp(-((xx - 120) ** 2 + (yy - 120) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    rng = np.random.default_rng(0)
    images = {b: star(s) + rng.normal(0, NOISE, (SIDE, SIDE)) for b, s in {"F814": 1.2, "F160": 3.0}.items()}
    options = {"zeropoints": dict.fromkeys(images, 25.0), "aperture_arcsec": 0.5}
    fwhm = {"F814": 1.2 * 2.3548 * 0.065, "F160": 3.0 * 2.3548 * 0.065}
    raw, blurred = (measured(images, **options, psf_fwhm_arcsec=psf) for psf in (None, fwhm))
    assert (raw["aper_F814"] - raw["aper_F160"])[0].value < -0.4
    assert (blurred["aper_F814"] - blurred["aper_F160"])[0].value == pytest.approx(0, abs=0.03)


def test_noise_alone_gives_no_source():
    table = measured(field([]))
    assert len(table) <= 1
    assert {"ra", "mag_F606", "aper_F814_err"} <= set(table.colnames)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({}, {"zeropoints": {"F814": 25.9}}, r"zeropoints must have every band .* none for \['F606'\]"),
        ({}, {"detect_on": "F160"}, r"detect_on must name bands .* got \['F160'\]"),
        ({}, {"aperture_arcsec": 0}, "aperture_arcsec must be positive"),
        ({}, {"threshold": 0}, "threshold and min_area_px must be positive"),
        ({}, {"noise": {"F814": np.ones((3, 3))}}, "noise of 'F814' must be a number or of shape"),
        ({}, {"noise": {"F814": -1.0}}, "noise of 'F814' must never be negative, got -1"),
        ({}, {"gain": {"F606": 0.0}}, "gain of 'F606' must be positive, got 0"),
        ({"F606": np.zeros((3, SIDE))}, {}, "images must be of one shape .*regrid"),
        ({"F606": np.full((SIDE, SIDE), np.nan)}, {"detect_on": "F606"}, r"only NaN in \['F606'\]"),
    ],
)
def test_bad_images_and_options_are_named(changed, options, message):
    with pytest.raises(InputError, match=message):
        measured(field(PLACES) | changed, **options)


def test_matches_are_mutual_and_within_the_radius():
    here = QTable({"ra": [10.0, 10.0002, 50.0, 359.99999] * u.deg, "dec": [0.0, 0.0, 5.0, -3.0] * u.deg})
    there = QTable({"ra": [0.00001, 10.00005] * u.deg, "dec": [-3.0, 0.0] * u.deg})
    found = match(here, there, 1 * u.arcsec)
    assert found["row"].tolist() == [0, 3]
    assert found["reference_row"].tolist() == [1, 0]
    assert found["separation"][0].to_value(u.arcsec) == pytest.approx(0.18, rel=1e-6)
    assert len(match(here, there[:0], 1 * u.arcsec)) == 0


COLOURS = QTable(
    {"mag_g": [20.0, 45.0] * u.mag, "mag_r": [19.2, 19.0] * u.mag, "mag_i": [18.9, np.nan] * u.mag}
)


def test_colours_between_neighbours_and_against_a_reference():
    chain = colours(COLOURS, bands=["g", "r", "i"])
    assert chain.colnames == ["g-r", "r-i"]
    np.testing.assert_allclose(chain["g-r"], [0.8, np.nan])  # 26 mag is not a colour
    against = colours(COLOURS, bands=["g", "r", "i"], reference="r")
    assert against.colnames == ["g-r", "i-r"]
    np.testing.assert_allclose(against["i-r"], [-0.3, np.nan])


def test_magnitudes_and_redshifts_relative_to_the_cluster():
    assert magnitude_at([20.0], 0.1)[0] == pytest.approx(20 - 38.315, abs=0.002)  # DM(0.1), H0 = 70, Om = 0.3
    fainter = magnitude_at(np.full(3, 20.0), np.array([0.1, 0.2, 0.1]))
    assert fainter[0] == fainter[2] > fainter[1]
    assert redshift_offset(0.12, 0.1) == pytest.approx(0.02 / 1.1)


NOWHERE = QTable({"ra": [np.nan] * u.deg, "dec": [0.0] * u.deg})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: match(NOWHERE, NOWHERE, 1.0), "radius must be a positive angle"),
        (lambda: match(NOWHERE["ra",], NOWHERE, 1 * u.arcsec), r"table must have .*\['dec'\] missing"),
        (lambda: match(NOWHERE[:0], NOWHERE, 1 * u.arcsec), "reference must have finite positions"),
        (lambda: colours(COLOURS, bands=["g", "g"]), "bands must name two different bands"),
        (lambda: colours(COLOURS, bands=["g", "z"]), r"\['mag_z'\] missing"),
        (lambda: colours(COLOURS, bands=["g", "r"], reference="K"), "reference must be one of the bands"),
        (lambda: magnitude_at([20.0], 0.0), "redshift must be positive, got 0"),
    ],
)
def test_bad_catalogues_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()

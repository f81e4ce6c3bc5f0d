"""Mosaics: bands of files, zero points, grids, registration, and what they cover."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaic_images import noise, painted, tangent, write_mosaic

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import sky_to_pixel, tangent_plane
from labkit.sources.members.fields import ListedField, annulus_coverage
from labkit.sources.mosaicfile import grid_offset, turn_north_up, wavelength_um
from labkit.sources.mosaics import Mosaics, annulus_shares, on_one_scale, read_mosaics, registered

ACS = {"PHOTFLAM": 7.03e-20, "PHOTPLAM": 8059.9}


@pytest.fixture
def folder(tmp_path):
    for number, band in enumerate(("F105", "F814", "F435", "Ks")):
        write_mosaic(tmp_path / f"A1_{band}.fits", noise(seed=number), PHOTZP=25.0 + number)
    (tmp_path / "catalogue.fits").write_bytes(b"not a mosaic")
    return tmp_path


def test_a_folder_gives_its_bands_from_blue_to_red(folder):
    mosaics = read_mosaics(folder)
    assert mosaics.bands == ("F435", "F814", "F105", "Ks")
    assert mosaics["F814"].zero_point == 26.0
    assert mosaics.offsets == ((0, 0),) * 4
    assert read_mosaics(folder, bands=["F105", "F435"]).bands == ("F105", "F435")
    assert read_mosaics(folder, zero_points={"Ks": 27.5})["Ks"].zero_point == 27.5
    record = {"file": "A1_F105.fits", "zero_point": 25.0, "zero_point_from": "PHOTZP", "unit": ""}
    record["pixel_scale_arcsec"] = 0.065
    assert mosaics.record()["F105"] == record


def test_plain_files_stay_on_disk_and_others_are_read_once(tmp_path):
    data = noise()
    write_mosaic(tmp_path / "a_R.fits", data)
    write_mosaic(tmp_path / "a_G.fits.gz", data)
    other = fits.ImageHDU(data + 1, tangent().to_header(), name="WHT")
    lossless = {"quantize_level": 0, "compression_type": "GZIP_1"}
    packed = fits.CompImageHDU(data, tangent().to_header(), name="SCI", **lossless)
    fits.HDUList([fits.PrimaryHDU(), other, packed]).writeto(tmp_path / "a_B.fits")
    scaled = fits.PrimaryHDU((data * 100).astype(np.int16), tangent().to_header())
    scaled.header["BSCALE"], scaled.header["BLANK"] = 0.01, -32768
    scaled.writeto(tmp_path / "a_I.fits")
    mosaics = read_mosaics(tmp_path)
    mapped = {one.band: isinstance(one.data, np.memmap) for one in mosaics.mosaics}
    assert mapped == {"R": True, "G": False, "B": False, "I": False}
    for band in "RGB":
        np.testing.assert_array_equal(mosaics[band].data, data)
    np.testing.assert_allclose(mosaics["I"].data, data, atol=0.011)
    np.testing.assert_array_equal(read_mosaics({"B": tmp_path / "a_B.fits"}, hdu="WHT")["B"].data, data + 1)
    assert not mosaics["R"].data.flags.writeable


@pytest.mark.parametrize(
    ("blue_to_red", "telescope"),
    [
        ("u g r i z y J H Ks", ""),
        ("U B V R I", ""),
        ("f225w f435w f606w f814w f105w f125w f160w", "HST"),
        ("F090W F115W F150W F200W F277W F356W F410M F444W F770W F1500W", "JWST"),
        ("F435W F814W F160W F277W F444W", ""),
        ("g F606W F814W Ks other", ""),
    ],
)
def test_bands_are_ordered_by_wavelength(tmp_path, blue_to_red, telescope):
    for band in sorted(blue_to_red.split(), key=str.lower):
        write_mosaic(tmp_path / f"a_{band}.fits", noise(), TELESCOP=telescope)
    assert " ".join(read_mosaics(tmp_path).bands) == blue_to_red


def test_wavelengths_of_bands():
    assert wavelength_um("F444W") == pytest.approx(4.44)
    assert wavelength_um("F814") == wavelength_um("f814w") == pytest.approx(0.814)
    assert wavelength_um("F410M") == pytest.approx(0.41)
    assert wavelength_um("F410M", "JWST") == pytest.approx(4.1)
    assert wavelength_um("F105W") == pytest.approx(1.05)
    assert wavelength_um("detector") is None


def test_high_level_products_give_their_band_and_not_their_maps(tmp_path, caplog):
    caplog.set_level("INFO")
    for band in ("f160w", "f814w"):
        for product in ("drz", "wht", "rms"):
            write_mosaic(tmp_path / f"hlsp_x_hst_acs_a209_{band}_v1_{product}.fits", noise())
    mosaics = read_mosaics(tmp_path)
    assert mosaics.bands == ("f814w", "f160w")
    assert [one.path.name.split("_")[-1] for one in mosaics.mosaics] == ["drz.fits"] * 2
    assert "left out hlsp_x_hst_acs_a209_f160w_v1_rms.fits, " in caplog.text
    write_mosaic(tmp_path / "hlsp_x_total_v1_drz.fits", noise())
    with pytest.raises(InputError, match=r"'hlsp_x_total_v1_drz.fits' must be clear, got only 'drz'; give a"):
        read_mosaics(tmp_path)
    write_mosaic(tmp_path / "maps" / "a_wht.fits", noise())
    with pytest.raises(MissingDataError, match=r"got none but the maps \['a_wht.fits'\]"):
        read_mosaics(tmp_path / "maps")


def test_fields_come_onto_one_flux_scale_or_are_refused():
    stars = np.abs(noise()) + 1
    deep = Mosaics.from_arrays({"R": stars}, tangent(), zero_points={"R": 25.95})
    other = Mosaics.from_arrays({"R": stars * 100}, tangent(), zero_points={"R": 30.95})
    first, second = on_one_scale([deep, other])
    assert first["R"].data is deep["R"].data
    assert second["R"].zero_point == 25.95
    np.testing.assert_allclose(second["R"].data[10:20, 5], stars[10:20, 5], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(second["R"].data), stars, rtol=1e-5)
    unknown = Mosaics.from_arrays({"R": stars}, tangent())
    assert on_one_scale([unknown, unknown])[1]["R"].zero_point is None
    with pytest.raises(
        InputError, match=r"got none for R of R \(nothing given\), but R 25.95 \(given\); give"
    ):
        on_one_scale([deep, unknown])


def test_bands_of_one_field_have_all_a_zero_point_or_none(tmp_path):
    write_mosaic(tmp_path / "a_F606.fits", noise(), **ACS, BUNIT="ELECTRONS")
    write_mosaic(tmp_path / "a_F814.fits", noise(), **ACS, BUNIT="ELECTRONS", EXPTIME=1000.0)
    message = (
        r"got none for F606 of a_F606.fits \(PHOTFLAM: pixels are totals, but there is no EXPTIME\), "
        r"but F814 33.44\d* \(PHOTFLAM\); give what is missing by zero_points \(--zero-point F606=25.9\), "
        "or 'none' for all"
    )
    with pytest.raises(InputError, match=message):
        on_one_scale([read_mosaics(tmp_path)])
    assert on_one_scale([read_mosaics(tmp_path)], ["F606"])[0]["F606"].zero_point is None
    given = read_mosaics(tmp_path, zero_points={"F606": "33.5"})
    assert (given["F606"].zero_point, given["F606"].zero_point_from) == (33.5, "given")
    assert on_one_scale([given])[0]["F814"].zero_point == pytest.approx(33.44, abs=0.01)
    without = on_one_scale([read_mosaics(tmp_path, zero_points="none")])[0]
    assert [one.zero_point for one in without.mosaics] == [None, None]
    assert [one.zero_point for one in read_mosaics(tmp_path, zero_points=31.4).mosaics] == [31.4, 31.4]
    for wrong in ("bright", 250, float("nan")):
        with pytest.raises(
            InputError, match=r"zero point of 'F606' must be an AB magnitude, as 25.9, or 'none'"
        ):
            read_mosaics(tmp_path, zero_points={"F606": wrong})
    with pytest.raises(MissingDataError, match=r"got \['F841'\]"):
        read_mosaics(tmp_path, zero_points={"F841": 25.9})


def test_a_band_twice_is_refused(folder):
    write_mosaic(folder / "A1_F814.fits.gz", noise())
    with pytest.raises(InputError, match=r"each band must be given once, got 'F814' twice .*fits\.gz"):
        read_mosaics(folder)
    one, other = folder / "A1_F105.fits", folder / "A1_F435.fits"
    with pytest.raises(InputError, match="each band must be given once, got 'J' twice"):
        read_mosaics([("J", one), ("J", other)])
    with pytest.raises(InputError, match=r"belong to one band, got 'A1_F105\.fits' for 'J' and 'H'"):
        read_mosaics({"J": one, "H": one})


def test_mosaics_without_common_sky_are_refused(folder):
    write_mosaic(folder / "B2_z.fits", noise(), tangent(centre=(64.01, -24.0)))
    with pytest.raises(InputError, match=r"of the same sky, got 'B2_z\.fits' and 'A1_F435\.fits'"):
        read_mosaics(folder)


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("nowhere", {}, MissingDataError, "there is no folder"),
        ("", {"pattern": "*.fits"}, InputError, r"pattern must hold \{band\} where"),
        ("", {"pattern": "drz_{band}.fits"}, MissingDataError, r"named like 'drz_\{band\}\.fits', got none"),
        ("", {"bands": ["F606"]}, MissingDataError, r"bands must be among .*'F435', .*got \['F606'\]"),
        ("", {"hdu": 4}, InputError, r"hdu must be an extension of 'A1_F435\.fits' \(0 to 0\), got 4"),
    ],
)
def test_what_is_not_there_is_named(folder, source, options, error, message):
    with pytest.raises(error, match=message):
        read_mosaics(folder / source, **options)


def test_files_that_are_no_mosaics_are_named(folder, tmp_path):
    with pytest.raises(MissingDataError, match=r"there is no mosaic .*no\.fits' for 'R'"):
        read_mosaics({"R": folder / "no.fits"})
    with pytest.raises(InputError, match=r"'catalogue\.fits' must be a whole FITS file"):
        read_mosaics({"R": folder / "catalogue.fits"})
    fits.PrimaryHDU(np.zeros((3, 20, 20), np.float32), tangent().to_header()).writeto(tmp_path / "cube.fits")
    with pytest.raises(InputError, match=r"'cube\.fits' must hold a two-dimensional image, got none"):
        read_mosaics({"R": tmp_path / "cube.fits"})
    with pytest.raises(InputError, match=r"mosaic 'R' must have the axes \(y, x\), got \(3, 20, 20\)"):
        Mosaics.from_arrays({"R": np.zeros((3, 20, 20))}, tangent())
    with pytest.raises(InputError, match="mosaics must hold at least one band"):
        Mosaics.from_arrays({}, tangent())


def test_trimmed_mosaics_share_a_grid_and_shifted_ones_do_not():
    data, wcs = noise(), tangent()
    trimmed = wcs.slice((slice(20, 80), slice(7, 60)))
    mosaics = Mosaics.from_arrays({"a": data, "b": data[20:80, 7:60]}, {"a": wcs, "b": trimmed})
    assert mosaics.offsets == ((0, 0), (-7, -20))
    for other in (tangent(roll_deg=0.5), tangent(scale=0.0651), tangent(centre=(64.00001, -24.0))):
        pair = Mosaics.from_arrays({"a": data, "b": data}, {"a": wcs, "b": other})
        assert pair.offsets is None
        assert grid_offset(pair["b"], pair["a"]) is None


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0, 90, 180, 270]), st.booleans(), st.floats(-0.9, 0.9))
def test_a_turn_brings_north_up_and_east_left(right, flip, slant):
    wcs = tangent((80, 80), roll_deg=right + slant, flip=flip)
    image = np.zeros((80, 80), np.float32)
    centre = SkyCoord(64.0 * u.deg, -24.0 * u.deg)
    for angle, value in ((0, 1.0), (90, 2.0)):
        there = centre.directional_offset_by(angle * u.deg, 2 * u.arcsec)
        x, y = sky_to_pixel(wcs, there.ra, there.dec)
        image[round(float(y)), round(float(x))] = value
    mosaic = Mosaics.from_arrays({"a": image}, wcs)["a"]
    turn = turn_north_up(mosaic)
    assert turn is not None
    turned = turn(image)
    (north_y, north_x), (east_y, east_x) = np.argwhere(turned == 1)[0], np.argwhere(turned == 2)[0]
    assert (north_y > 65, abs(north_x - 39.5) < 2) == (True, True)
    assert (east_x < 15, abs(east_y - 39.5) < 2) == (True, True)
    assert np.sort(turned, axis=None).tolist() == np.sort(image, axis=None).tolist()


def test_a_slanted_mosaic_is_not_turned_by_right_angles():
    slanted = Mosaics.from_arrays({"a": noise()}, tangent(roll_deg=20))["a"]
    assert turn_north_up(slanted) is None


def test_real_hst_bands_of_different_pixel_scale(real):
    mosaics = read_mosaics(real / "hst", pattern="egs_13004304_*_{band}_cutout.fits")
    assert mosaics.bands == ("f606w", "f814w", "f160w")
    scales = [one.pixel_scale.to_value(u.arcsec) for one in mosaics.mosaics]
    np.testing.assert_allclose(scales, [0.03, 0.03, 0.06], rtol=1e-5)
    assert mosaics.offsets is None
    assert mosaics.select(["f606w", "f814w"]).offsets == ((0, 0), (0, 0))
    there = registered(mosaics, pixel_scale=0.06 * u.arcsec)
    assert len({one.shape for one in there.mosaics}) == 1
    assert there.offsets == ((0, 0),) * 3
    for one, other in zip(mosaics.mosaics, there.mosaics, strict=True):
        assert np.nansum(other.data) == pytest.approx(one.data.sum(dtype=float), rel=0.005)


def test_real_cfhtls_bands_are_registered(real):
    mosaics = read_mosaics(real / "cfhtls", pattern="lens_field_{band}.fits.gz")
    assert mosaics.offsets == ((0, 0),) * 3
    assert [one.zero_point for one in mosaics.mosaics] == [30.0] * 3


# What is brought onto one grid


def test_mosaics_of_one_grid_keep_their_pixels_on_the_largest_frame():
    red, blue, wcs = noise(seed=1), noise(seed=2), tangent()
    blue[:5] = 0  # no data
    trimmed = wcs.slice((slice(30, 100), slice(50, None)))
    images = {"a": red[30:100, 50:], "b": blue}
    there = registered(Mosaics.from_arrays(images, {"a": trimmed, "b": wcs}, zero_points={"a": 25.0}))
    np.testing.assert_array_equal(there["b"].data, np.where(blue == 0, np.nan, blue))
    np.testing.assert_array_equal(there["a"].data[30:100, 50:], red[30:100, 50:])
    assert np.isfinite(there["a"].data).sum() == images["a"].size
    assert (there["a"].zero_point, there.offsets) == (25.0, ((0, 0), (0, 0)))


@pytest.mark.parametrize(("scale", "roll"), [(0.13, 0), (0.13, 25), (0.05, -70)])
def test_mosaics_of_other_grids_are_regridded_with_flux_and_places_kept(scale, roll):
    bodies = [(40.3, 35.7, 100.0, 0.13), (120.0, 45.2, 50.0, 0.2), (110.4, 110.9, 70.0, 0.16)]
    wide = (round(260 * 0.065 / scale),) * 2
    wcs = {"R": tangent(), "H": tangent(wide, scale=scale, roll_deg=roll)}
    images = {"R": painted(bodies, wcs["R"], (150, 170)), "H": painted(bodies, wcs["H"], wide)}
    mosaics = Mosaics.from_arrays(images, wcs)
    there = registered(mosaics, pixel_scale=0.065 * u.arcsec)
    assert there.offsets == ((0, 0), (0, 0))
    assert there["R"].shape == there["H"].shape
    for *place, flux, _ in bodies:
        x, y = (float(v) for v in there["H"].wcs.world_to_pixel(tangent().pixel_to_world(*place)))
        rows, columns = (slice(round(v) - 15, round(v) + 16) for v in (y, x))
        for band in "RH":
            light = there[band].data[rows, columns].astype(float)
            assert light.sum() == pytest.approx(flux, rel=0.01)
            shift = (light * np.arange(-15, 16)).sum() / light.sum() - (x - round(x))
            assert abs(shift) < 0.05
    with pytest.raises(InputError, match="pixel_scale must be given for mosaics of different pixel scales"):
        registered(mosaics)


def test_regridding_by_tiles_equals_regridding_at_once(monkeypatch):
    mosaics = Mosaics.from_arrays({"R": noise((200, 200))}, tangent((200, 200), roll_deg=20))
    options = {"pixel_scale": 0.1 * u.arcsec}
    parts = registered(mosaics, **options)["R"].data
    monkeypatch.setattr("labkit.sources.mosaics._TILE_PX", 1000)
    whole = registered(mosaics, **options)["R"].data
    assert max(parts.shape) > 128
    np.testing.assert_array_equal(np.isnan(parts), np.isnan(whole))
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_pixels_without_data_do_not_darken_their_neighbours():
    data = np.full((200, 200), 5, dtype=np.float32)
    data[90:110, 90:110] = 0
    flat = Mosaics.from_arrays({"R": data}, tangent((200, 200), roll_deg=20))
    there = registered(flat, pixel_scale=0.1 * u.arcsec)["R"].data
    assert np.isnan(there[there.shape[0] // 2, there.shape[1] // 2])
    np.testing.assert_allclose(there[np.isfinite(there)], 5 * (0.1 / 0.065) ** 2, rtol=1e-3)


# Annuli around a position, and how much of them mosaics cover


CENTRE = SkyCoord(181.55, -8.8, unit="deg")


def square(side: int, *, blank: float = np.nan, half: bool = False) -> Mosaics:
    """A mosaic of 1 arcsec pixels about the centre, data everywhere or in its western half."""
    data = np.ones((side, side), dtype=np.float32)
    if half:
        data[:, : side // 2] = blank
    return Mosaics.from_arrays({"F814": data}, tangent_plane(CENTRE.ra.deg, CENTRE.dec.deg, 1.0, data.shape))


def test_a_square_covers_what_geometry_says():
    shares = annulus_shares(square(100), CENTRE, [0, 20, 48, 70, 72, 90] * u.arcsec)
    assert shares[:2].tolist() == [1.0, 1.0]
    r = np.sqrt(np.linspace(48**2, 70**2, 2000))
    inside = 1 - 4 * np.where(r > 50, np.arccos(np.minimum(50 / r, 1)), 0) / np.pi
    assert shares[2] == pytest.approx(np.clip(inside, 0, 1).mean(), abs=0.02)
    assert shares[4] == 0


@pytest.mark.parametrize("blank", [np.nan, 0.0])
def test_pixels_without_data_do_not_count(blank):
    shares = annulus_shares(square(100, blank=blank, half=True), CENTRE, [10, 20, 40] * u.arcsec)
    np.testing.assert_allclose(shares, 0.5, atol=0.02)


def test_annuli_of_fields_are_in_units_of_r200(tmp_path, monkeypatch):
    field, unknown = (
        ListedField(name, 0.4, tmp_path, tmp_path, CENTRE, size)
        for name, size in (("A", 1.0 * u.Mpc), ("B", None))
    )
    side = round(0.5 * field.r200_angle.to_value(u.arcsec))  # from the centre to a quarter of R200
    monkeypatch.setattr("labkit.sources.members.fields.read_mosaics", lambda folder, bands: square(side))
    shares = annulus_coverage([field, unknown], [0, 0.2, 0.36, 0.4])
    assert list(shares) == ["A"]
    assert shares["A"][0] == 1
    assert 0 < shares["A"][1] < 1
    assert shares["A"][2] == 0
    found = annulus_coverage([field], [0, 0.14, 0.2], margin=0.1 * field.r200_angle)["A"]
    r = np.sqrt(np.linspace(0.14**2, 0.2**2, 2000))  # in a square of 0.15 R200 to each side
    expected = 1 - 4 * np.arccos(np.minimum(0.15 / r, 1)).mean() / np.pi
    assert found == pytest.approx([1, expected], abs=0.03)


def test_all_bands_must_be_there_and_edges_must_rise():
    both = Mosaics((*square(100).mosaics, *(m.__class__("F140", m.data, m.wcs) for m in square(40).mosaics)))
    shares = annulus_shares(both, CENTRE, [0, 15, 29, 45] * u.arcsec)
    assert shares[0] == 1
    assert 0 < shares[1] < 1
    assert shares[2] == 0
    for edges in ([3, 2] * u.arcsec, [1] * u.arcsec, [-1, 2] * u.arcsec):
        with pytest.raises(InputError, match="edges must rise from 0 or more"):
            annulus_shares(square(10), CENTRE, edges)

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.fitsfile import read_image


def header():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150, -11], [32.5, 32.5], [-0.0012, 0.0012]
    return wcs.to_header()


DATA = np.random.default_rng(0).poisson(1.0, (64, 64)).astype(np.int32)


@pytest.mark.parametrize("name", ["image.fits", "image.fits.gz", "image.fit"])
def test_plain_and_gzipped_files(tmp_path, name):
    fits.PrimaryHDU(DATA, header()).writeto(tmp_path / name)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image.data, DATA)
    assert image.wcs.has_celestial


def test_compressed_and_later_extensions(tmp_path):
    path = tmp_path / "image.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("START", "D", array=np.arange(3.0))])
    other = fits.ImageHDU(DATA + 1, header(), name="OTHER")
    fits.HDUList([fits.PrimaryHDU(), table, fits.CompImageHDU(DATA, header(), name="SCI"), other]).writeto(
        path
    )
    np.testing.assert_array_equal(read_image(path).data, DATA)
    np.testing.assert_array_equal(read_image(path, hdu="OTHER").data, DATA + 1)
    with pytest.raises(InputError, match=r"hdu must be an extension of 'image.fits' \(0 to 3\), got 9"):
        read_image(path, hdu=9)
    with pytest.raises(InputError, match="must hold a two-dimensional image, got none"):
        read_image(path, hdu=1)


def test_degenerate_axes_are_dropped(tmp_path):
    fits.PrimaryHDU(DATA[None, None], header()).writeto(tmp_path / "cube.fits")
    assert read_image(tmp_path / "cube.fits").data.shape == (64, 64)


def test_old_forms_of_header_keywords_are_mended_in_silence(tmp_path):
    old = header()
    del old["RADESYS"]
    old["RADECSYS"], old["DATE-OBS"], old["MJDREF"] = "FK5", "2004-06-17T11:30:44", 50814.0
    fits.PrimaryHDU(DATA, old).writeto(tmp_path / "old.fits")
    assert read_image(tmp_path / "old.fits").wcs.wcs.radesys == "FK5"


@pytest.mark.parametrize("keep", [2000, 9000])
@pytest.mark.parametrize("compress", [False, True])
def test_a_truncated_file_is_refused(tmp_path, keep, compress):
    fits.PrimaryHDU(DATA, header()).writeto(tmp_path / "whole.fits")
    content = (tmp_path / "whole.fits").read_bytes()
    path = tmp_path / ("part.fits.gz" if compress else "part.fits")
    whole = gzip.compress(content) if compress else content
    path.write_bytes(whole[: keep if not compress else keep * len(whole) // len(content)])
    with pytest.raises(
        InputError, match=r"part\.fits.* must be a whole FITS file.*download or copy it again"
    ):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x1f\x8bnot a gzip"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "image.fits").write_bytes(content)
    with pytest.raises(InputError, match=r"'image\.fits' must be a whole FITS file"):
        read_image(tmp_path / "image.fits")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"there is no file .*nowhere\.fits"):
        read_image(tmp_path / "nowhere.fits")


def test_an_image_without_sky_coordinates_is_refused(tmp_path):
    fits.PrimaryHDU(DATA).writeto(tmp_path / "bare.fits")
    with pytest.raises(InputError, match=r"'bare\.fits' must have celestial world coordinates"):
        read_image(tmp_path / "bare.fits")


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "must hold finite pixels, got none of 4096"), (0.0, "must hold an image, got 0 in all pixels")],
)
def test_empty_images_are_refused(tmp_path, value, message):
    fits.PrimaryHDU(np.full((64, 64), value), header()).writeto(tmp_path / "flat.fits")
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / "flat.fits")

import gzip
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import pixel_to_sky, tangent_plane
from labkit.sources import fitsfile
from labkit.sources.fitsfile import header_number, header_text, read_image


def header(**cards):
    found = tangent_plane(150, -11, 4.32, (64, 64)).to_header()
    found.update(cards)
    return found


DATA = np.random.default_rng(0).poisson(1.0, (64, 64)).astype(np.int32)


def write(path, **cards):
    fits.PrimaryHDU(DATA, header(**cards)).writeto(path)
    return path


@pytest.mark.parametrize("name", ["image.fits", "image.fits.gz", "image.fit"])
def test_plain_and_gzipped_files(tmp_path, name):
    image = read_image(write(tmp_path / name))
    np.testing.assert_array_equal(image.data, DATA)
    assert image.wcs.has_celestial


def test_compressed_and_later_extensions(tmp_path):
    path = tmp_path / "image.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("START", "D", array=np.arange(3.0))])
    other = fits.ImageHDU(DATA + 1, header(), name="OTHER")
    packed = fits.CompImageHDU(DATA, header(), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), table, packed, other]).writeto(path)
    np.testing.assert_array_equal(read_image(path).data, DATA)
    np.testing.assert_array_equal(read_image(path, hdu="OTHER").data, DATA + 1)
    with pytest.raises(InputError, match=r"hdu must be an extension of 'image.fits' \(0 to 3\), got 9"):
        read_image(path, hdu=9)
    with pytest.raises(InputError, match="must hold a two-dimensional image, got none"):
        read_image(path, hdu=1)


def test_degenerate_axes_are_dropped_and_old_forms_of_keywords_mended_in_silence(tmp_path):
    fits.PrimaryHDU(DATA[None, None], header()).writeto(tmp_path / "cube.fits")
    assert read_image(tmp_path / "cube.fits").data.shape == (64, 64)
    old = header(RADECSYS="FK5", MJDREF=50814.0)
    old["DATE-OBS"] = "2004-06-17T11:30:44"
    del old["RADESYS"]
    fits.PrimaryHDU(DATA, old).writeto(tmp_path / "old.fits")
    assert read_image(tmp_path / "old.fits").wcs.wcs.radesys == "FK5"


def test_a_look_up_table_of_the_distortion_is_read_with_the_file(tmp_path):
    science = fits.ImageHDU(DATA, header(), name="SCI")
    tables = [fits.ImageHDU(np.full((8, 8), 0.3, np.float32), name="WCSDVARR", ver=n) for n in (1, 2)]
    for axis, table in enumerate(tables, start=1):
        science.header[f"CPDIS{axis}"], science.header[f"DP{axis}"] = "Lookup", f"EXTVER: {axis}"
        for card in ("NAXES: 2", "AXIS.1: 1", "AXIS.2: 2"):
            science.header.append((f"DP{axis}", card))
        table.header.update({f"{name}{other}": n for other in (1, 2) for name, n in
                             (("CRPIX", 1.0), ("CRVAL", 1.0), ("CDELT", 8.0))})  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), science, *tables]).writeto(tmp_path / "hst.fits")
    plain = read_image(write(tmp_path / "plain.fits")).wcs
    image = read_image(tmp_path / "hst.fits")
    np.testing.assert_allclose(pixel_to_sky(image.wcs, 10, 10), pixel_to_sky(plain, 10.3, 10.3), atol=1e-7)


@pytest.mark.parametrize("keep", [2000, 9000])
@pytest.mark.parametrize("compress", [False, True])
def test_a_truncated_file_is_refused(tmp_path, keep, compress):
    content = write(tmp_path / "whole.fits").read_bytes()
    path = tmp_path / ("part.fits.gz" if compress else "part.fits")
    whole = gzip.compress(content) if compress else content
    path.write_bytes(whole[: keep if not compress else keep * len(whole) // len(content)])
    message = r"part\.fits.* must be a whole FITS file.*download or copy it again"
    with pytest.raises(InputError, match=message):
        read_image(path)


BAD = {
    **dict.fromkeys([b"", b"<html>404</html>", b"\x1f\x8bnot a gzip", b"SIMPLE  =", b"\0" * 9000],
                    r"'image\.fits' must be a whole FITS file"),
    "bare": r"'image\.fits' must have celestial world coordinates",
    np.nan: "must hold finite pixels, got none of 4096",
    0.0: "must hold an image, got 0 in all pixels",
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD.items(), ids=[str(one)[:20] for one in BAD])
def test_files_that_are_no_image_of_the_sky_are_refused(tmp_path, content, message):
    path = tmp_path / "image.fits"
    with pytest.raises(MissingDataError, match=r"there is no file .*image\.fits"):
        read_image(path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "bare":
        fits.PrimaryHDU(DATA).writeto(path)
    else:
        fits.PrimaryHDU(np.full((64, 64), content), header()).writeto(path)
    with pytest.raises(InputError, match=message):
        read_image(path)


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_may_not_grow_beyond_memory_or_claim_what_it_has_not(tmp_path, compress, monkeypatch):
    monkeypatch.setattr(fitsfile, "MOST_UNPACKED", 100_000)
    content = write(tmp_path / "whole.fits").read_bytes()
    claim = content.replace(b"NAXIS1  =                   64", b"NAXIS1  =            640000000")
    many = {"claims": claim, "grows": claim + bytes(200_000), "endless": content[:400] + b" " * 6_000_000}
    many["axes"] = content.replace(b"NAXIS   =                    2", b"NAXIS   =            999999999")
    for name, there in many.items():
        path = tmp_path / f"{name}.fits"
        path.write_bytes(gzip.compress(there) if compress else there)
        with pytest.raises(InputError, match=rf"'{name}\.fits' (must be a whole|cannot be read)"):
            read_image(path)
    packed = fits.CompImageHDU(np.zeros((400, 400), np.int16), header(), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "packed.fits")
    with pytest.raises(InputError, match="must unpack to at most 100000 bytes, got 320000 or more"):
        read_image(tmp_path / "packed.fits")


#: Some of these end the process inside wcslib, so they are tried in another.
BAD_CARDS = {
    "AMDX1": True, "PLTRAH": "", "CNPIX1": "x", "CNPIX2": None, "CRVAL1": "12:00", "CD1_1": "NaN",
    "A_ORDER": 100_000, "WCSAXES": 100_000, "CTYPE1": 3, "CTYPE2": "XXX", "CUNIT1": "furlong",
}  # fmt: skip


def test_cards_that_wcslib_cannot_take_are_refused_and_the_process_lives(tmp_path):
    for key, value in BAD_CARDS.items():
        write(tmp_path / f"{key}.fits", **{key: value})
    code = """
import sys, pathlib
from labkit.errors import InputError
from labkit.sources.fitsfile import read_image
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        read_image(path)
    except InputError as error:
        print(path.stem, error)
"""
    call = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    run = subprocess.run(call, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    assert set(said) == set(BAD_CARDS)
    assert said["AMDX1"].endswith("of 'AMDX1.fits' must be a finite number, got True; mend the header")
    assert "CNPIX2 in the header of 'CNPIX2.fits' must be a finite number, got nothing" in said["CNPIX2"]
    assert "A_ORDER in the header of 'A_ORDER.fits' must be a number up to 9, got 100000" in said["A_ORDER"]
    assert "the world coordinates of 'CUNIT1.fits' must be such as astropy understands" in said["CUNIT1"]


def test_header_values_that_are_none_are_absent_with_a_word(caplog):
    values = {"A": 1.5, "B": "2.5", "C": "10:00", "D": "NaN", "E": True, "F": -999.0, "T": " text "}
    cards = fits.Header(values)
    cards["G"] = None
    got = {key: header_number(cards, key, low=-90, where="x.fits") for key in "ABCDEFGH"}
    assert got == {"A": 1.5, "B": 2.5} | dict.fromkeys("CDEFGH")
    assert "x.fits: F is -999.0, no number that it can be: taken as absent" in caplog.text
    assert len(caplog.records) == 5  # of H, which is not there, nothing is said
    assert [header_text(cards, key) for key in "TGH"] == ["text", "", ""]

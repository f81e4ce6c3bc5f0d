"""Images from a list: every format, whatever is wrong with a file, and a call that was killed."""

import csv
import json

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

import labkit.sources.images as images_module
from labkit.errors import InputError, MissingDataError
from labkit.images import normalise
from labkit.images.coordinates import tangent_plane
from labkit.sample import Sample, SampleWriter
from labkit.sources import read_images
from labkit.sources.imagefile import read_planes


def sky(seed, size=16):
    return np.random.default_rng(seed).normal(5, 1, (size, size)).astype(np.float32)


def write_fits(path, pixels, *, scale=0.2, ra=150.0, **extensions):
    header = tangent_plane(ra, 2.0, scale, pixels.shape[-2:]).to_header()
    parts = [fits.PrimaryHDU(pixels, header)]
    parts += [fits.ImageHDU(values, header, name=name) for name, values in extensions.items()]
    fits.HDUList(parts).writeto(path)


def listing(folder, rows):
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "list.csv"


@pytest.fixture
def cut(tmp_path):
    """A list of 150 objects with FITS files, three of which are not what they should be."""
    (tmp_path / "cut").mkdir()
    rows = []
    for n in range(150):
        write_fits(tmp_path / "cut" / f"G{n:04d}.fits", sky(n, 20 if n == 70 else 16), ra=150 + n / 100)
        label = "lens" if n % 3 else "galaxy"
        rows.append({"object_id": f"{n:04d}", "file": f"G{n:04d}.fits", "label": label, "mag": 20 + n / 100})
    (tmp_path / "cut" / "G0003.fits").unlink()
    (tmp_path / "cut" / "G0140.fits").write_bytes(b"SIMPLE  = nonsense")
    return listing(tmp_path, rows)


def test_a_list_with_fits_files_becomes_a_sample(cut):
    sample = read_images(cut, cut.parent / "cut")
    assert sample.shape == (147, 1, 16, 16)
    assert sample.bands == ("image",)
    assert sample.object_ids[:4].tolist() == ["0000", "0001", "0002", "0004"]
    np.testing.assert_array_equal(sample.images[3, 0], sky(4))
    assert sample.pixel_scale.to_value(u.arcsec) == pytest.approx(0.2)
    np.testing.assert_allclose(sample.catalogue["ra"][:4].to_value(u.deg), [150, 150.01, 150.02, 150.04])
    assert set(sample.labels) == {"lens", "galaxy"}
    assert sample.catalogue["mag"][3] == pytest.approx(20.04)
    assert "normalisation" not in sample.provenance
    about = sample.provenance["images"]
    assert (about["listed"], about["read"], about["sizes_px"]) == (150, 147, {"16 x 16": 147})
    refused = sample.provenance["refused"]
    assert [one["object_id"] for one in refused] == ["0003", "0070", "0140"]
    assert refused[0]["reason"] == "there is no file of this name; check the list and the folder"
    assert refused[1]["reason"].startswith(
        "an image must be (1, 16, 16) float32 (bands, y, x) like the first"
    )
    assert refused[2]["reason"].startswith("the file must be a whole FITS file")
    json.dumps(sample.provenance)


def test_streamed_and_in_processes_it_is_the_same(cut, caplog):
    seen = []
    out = cut.parent / "sample"
    whole = read_images(cut, cut.parent / "cut")
    options = {"n_jobs": 2, "progress": lambda *done: seen.append(done)}
    streamed = read_images(cut, cut.parent / "cut", path=out, **options)
    assert streamed.content_hash == whole.content_hash
    assert streamed.provenance == json.loads(json.dumps(whole.provenance))
    np.testing.assert_array_equal(streamed.catalogue["ra"], whole.catalogue["ra"])
    assert seen == [(64, 150), (128, 150), (150, 150)]
    assert "left out 3 of 150 images: 1: there is no file" in caplog.text
    assert sorted(one.name for one in cut.parent.iterdir()) == ["cut", "list.csv", "sample"]
    with pytest.raises(InputError, match="path must not exist yet"):
        read_images(cut, cut.parent / "cut", path=out)


def test_a_killed_call_is_resumed_and_other_options_start_again(cut, monkeypatch):
    out, read, calls = cut.parent / "sample", images_module.read_planes, []

    def counted(path, hdus=()):
        calls.append(path.name)
        if len(calls) == 100:
            raise KeyboardInterrupt
        return read(path, hdus)

    monkeypatch.setattr(images_module, "read_planes", counted)
    with pytest.raises(KeyboardInterrupt):
        read_images(cut, cut.parent / "cut", path=out)
    assert not out.exists()
    calls[:] = ["more"] * 100
    write_fits(cut.parent / "cut" / "G0003.fits", sky(3), ra=150.03)  # was missing
    resumed = read_images(cut, cut.parent / "cut", path=out)
    assert calls[101:103] == ["G0000.fits", "G0001.fits"], "that piece is read again"
    assert calls.count("G0064.fits") == 1
    assert "0003" in resumed.object_ids
    assert resumed.content_hash == read_images(cut, cut.parent / "cut").content_hash
    calls[:] = []
    with pytest.raises(KeyboardInterrupt):
        read_images(cut, cut.parent / "cut", path=out, overwrite=True)
    calls[:] = ["more"] * 100
    cropped = read_images(cut, cut.parent / "cut", path=out, overwrite=True, size_px=12, fit="crop")
    assert calls[101] == "G0000.fits"
    assert cropped.shape == (149, 1, 12, 12)


def test_sizes_are_brought_to_one(cut):
    cropped = read_images(cut, cut.parent / "cut", size_px=12, fit="crop")
    np.testing.assert_array_equal(cropped.images[1, 0], sky(1)[2:14, 2:14])
    np.testing.assert_array_equal(cropped.select(["0070"]).images[0, 0], sky(70, 20)[4:16, 4:16])
    assert cropped.pixel_scale.value == pytest.approx(0.2)
    assert cropped.provenance["images"]["sizes_px"] == {"16 x 16": 147, "20 x 20": 1}
    halved = read_images(cut, cut.parent / "cut", size_px=8)
    wanted = sky(1).reshape(8, 2, 8, 2).mean((1, 3))
    np.testing.assert_allclose(halved.images[1, 0], wanted, rtol=1e-5)
    assert halved.pixel_scale.value == pytest.approx(0.4)
    reasons = {one["object_id"]: one["reason"] for one in halved.provenance["refused"]}
    assert reasons["0070"].startswith("pixels must be 0.4 arcsec wide like the first image's, got 0.5")
    forced = read_images(cut, cut.parent / "cut", size_px=8, pixel_scale=0.2 * u.arcsec)
    assert "0070" in forced.object_ids
    larger = read_images(cut, cut.parent / "cut", size_px=18, fit="crop")
    assert larger.object_ids.tolist() == ["0070"]


def test_bands_are_columns_patterns_extensions_or_planes(tmp_path):
    g, r = sky(1), sky(2)
    write_fits(tmp_path / "a_g.fits", g)
    write_fits(tmp_path / "a_r.fits.gz", r)
    write_fits(tmp_path / "both.fits", g, SCI=g, WHT=r)
    write_fits(tmp_path / "cube.fits", np.stack([g, r]))
    np.save(tmp_path / "stack.npy", np.stack([g, r]).astype(np.float64))
    row = {"object_id": "a", "green": "a_g.fits", "red": "a_r.fits.gz", "file": "both.fits", "end": "fits.gz"}
    table = Table(rows=[row])
    (tmp_path / "a_g.fits.gz").symlink_to(tmp_path / "a_g.fits")
    ways = [
        {"file": {"g": "green", "r": "red"}},
        {"file": "{object_id}_{band}.{end}", "bands": ["g", "r"]},
        {"hdu": ("SCI", "WHT"), "bands": ["g", "r"]},
        {"hdu": (1, 2), "bands": ("g", "r")},
        {"file": "cube.fits{nothing}", "bands": ("g", "r")},
        {"file": "stack.npy{nothing}", "bands": ("g", "r"), "pixel_scale": 0.2 * u.arcsec},
    ]
    table["nothing"] = [""]
    for way in ways:
        sample = read_images(table, tmp_path, **way)
        assert sample.bands == ("g", "r")
        np.testing.assert_array_equal(sample.images[0], [g, r], err_msg=str(way))
    assert read_images(table, tmp_path, hdu=("SCI", "WHT")).bands == ("SCI", "WHT")
    with pytest.raises(InputError, match="bands must name the 2 planes of 'cube.fits', got none"):
        read_images(table, tmp_path, file="cube.fits{nothing}")
    with pytest.raises(InputError, match="bands must be given for the pattern"):
        read_images(table, tmp_path, file="{object_id}_{band}.fits")
    with pytest.raises(InputError, match="bands must not be given beside those of file"):
        read_images(table, tmp_path, file={"g": "green"}, bands=("g",))
    with pytest.raises(MissingDataError, match="must hold a two-dimensional image|one of one band|one size"):
        read_images(table, tmp_path, file={"g": "cube.fits{nothing}", "r": "red"})


PICTURES = {"png": (40, 60), "jpg": (40, 60), "tif": (40, 60)}


@pytest.mark.parametrize("ending", PICTURES)
def test_pictures_are_grey_levels_with_the_first_row_at_the_bottom(tmp_path, ending):
    grey = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1)).T  # dark at the top
    Image.fromarray(grey).save(tmp_path / f"one.{ending}")
    Image.fromarray(np.stack([grey, grey // 2, grey // 4], -1)).save(tmp_path / f"three.{ending}")
    one = read_images(Table({"file": [f"one.{ending}"]}), tmp_path, pixel_scale=1 * u.arcsec)
    assert one.dtype == np.uint8
    assert one.object_ids.tolist() == ["one"]
    assert one.labels.tolist() == [""]
    assert np.isnan(one.catalogue["ra"]).all()
    assert one.provenance["normalisation"] == {"method": "as in the files", "no_emission": 0}
    np.testing.assert_allclose(one.images[0, 0].astype(int), grey[::-1], atol=3)
    three = read_images(Table({"file": [f"three.{ending}"]}), tmp_path, pixel_scale=1 * u.arcsec)
    assert three.bands == ("red", "green", "blue")
    np.testing.assert_allclose(three.images[0, 1].astype(int), grey[::-1] // 2, atol=4)
    small = read_images(Table({"file": [f"one.{ending}"]}), tmp_path, pixel_scale=1 * u.arcsec, size_px=16)
    assert (small.dtype, small.pixel_scale) == (np.uint8, 2 * u.arcsec)
    np.testing.assert_allclose(small.images[0, 0, :, 0], grey[::-1, 0].reshape(16, 2).mean(1), atol=3)


def test_depth_is_never_lost(tmp_path):
    deep = (np.arange(256, dtype=np.uint16) * 250).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(sky(1)).save(tmp_path / "float.tif")
    pages = [Image.fromarray(sky(n)) for n in (1, 2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    found = [read_planes(tmp_path / name).planes for name in ("deep.png", "float.tif", "pages.tif")]
    np.testing.assert_array_equal(found[0][0], deep[::-1].astype(np.float32))
    np.testing.assert_array_equal(found[1][0], sky(1)[::-1])
    np.testing.assert_array_equal(found[2], [sky(1)[::-1], sky(2)[::-1]])


def deep_colour(path):
    """A 16-bit RGB picture, which Pillow itself cannot write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_files_that_say_no_image_are_refused_one_by_one(tmp_path):
    transparent = np.dstack([np.full((8, 8, 3), 9), np.arange(64).reshape(8, 8)]).astype(np.uint8)
    Image.fromarray(transparent).save(tmp_path / "transparent.png")
    deep_colour(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("no picture")
    np.save(tmp_path / "last.npy", np.zeros((16, 16, 3)))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.ones((8, 8)))
    (tmp_path / "a.gif").write_text("")
    np.save(tmp_path / "good.npy", sky(1, 8))
    messages = {
        "transparent.png": "must be opaque, got transparent pixels",
        "deep.png": "16 bits a colour must stay 16",
        "text.png": "the file must be a whole .png file",
        "last.npy": r"must be (band, y, x), got (16, 16, 3); move its last axis forward",
        "objects.npy": "must be a whole .npy file",
        "flat.npy": "must hold more than one value",
        "a.gif": "the file must end in .fits",
    }
    table = Table({"file": [*messages, "good.npy"]})
    table["object_id"] = np.arange(len(table))
    sample = read_images(table, tmp_path, pixel_scale=1 * u.arcsec)
    assert sample.object_ids.tolist() == ["7"]
    reasons = [one["reason"] for one in sample.provenance["refused"]]
    for reason, message in zip(reasons, messages.values(), strict=True):
        assert message in reason
    with pytest.raises(MissingDataError, match=r"got none of 7 \(1 times: "):
        read_images(table[:7], tmp_path, pixel_scale=1 * u.arcsec)


def test_wrong_calls_are_refused_before_anything_is_read(cut, tmp_path):
    folder = cut.parent / "cut"
    for options, message in (
        ({"size_px": 4}, "size_px must be at least 8 and n_jobs at least 1, got 4"),
        ({"fit": "pad"}, "fit must be one of .*, got 'pad'"),
        ({"label": "kind"}, r"must have the columns \['kind'\], got .*label="),
        ({"file": "{name}.fits"}, r"must have the columns \['name'\]"),
        ({"pixel_scale": 1 * u.m}, "pixel_scale must be an angle"),
    ):
        with pytest.raises(InputError, match=message):
            read_images(cut, folder, **options)
    with pytest.raises(MissingDataError, match="folder must hold the images, there is none"):
        read_images(cut, tmp_path / "gone")
    np.save(tmp_path / "a.npy", sky(1))
    with pytest.raises(InputError, match="pixel_scale must be given, because 'a.npy' has no world"):
        read_images(Table({"file": ["a.npy"]}), tmp_path)
    with pytest.raises(InputError, match="object_id must be unique"):
        read_images(Table({"file": ["a.npy", "a.npy"]}), tmp_path)


def test_real_cut_outs_of_three_bands(real):
    """CANDELS galaxies, one file a band; their pixel scales differ by instrument."""
    bands = {"F814": "hst_acs_f814w", "F125": "hst_wfc3ir_f125w", "F160": "hst_wfc3ir_f160w"}
    ids = ["CANDELS_GDS_F160W_J033231.70-274626.2", "CANDELS_GDS_F160W_J033236.06-274559.1"]
    files = {band: f"{{object_id}}_{end}_cutout.fits" for band, end in bands.items()}
    sample = read_images(Table({"object_id": ids}), real / "hst", file=files)
    assert sample.shape == (2, 3, 50, 50)
    grey = normalise(sample, method="asinh")
    assert grey.images.std() > 10


def test_the_memory_of_a_piece_does_not_depend_on_the_list(cut, monkeypatch):
    held = []
    write = SampleWriter.append

    def append(self, pixels, catalogue):
        held.append(len(pixels))
        write(self, pixels, catalogue)

    monkeypatch.setattr(SampleWriter, "append", append)
    read_images(cut, cut.parent / "cut", path=cut.parent / "sample")
    assert held == [63, 63, 21]
    assert Sample.load(cut.parent / "sample").shape[0] == sum(held)
    assert not list(cut.parent.glob(".*.pieces"))


def test_of_several_files_the_faulty_one_is_named(tmp_path):
    for name in ("a_g", "a_r", "b_g", "b_r"):
        write_fits(tmp_path / f"{name}.fits", sky(1))
    (tmp_path / "a_r.fits").write_bytes(b"nonsense")
    (tmp_path / "b_r.fits").unlink()
    write_fits(tmp_path / "c_g.fits", sky(2))
    write_fits(tmp_path / "c_r.fits", sky(3))
    rows = [{"object_id": name} for name in "abc"]
    found = read_images(
        listing(tmp_path, rows), tmp_path, file="{object_id}_{band}.fits", bands=("g", "r")
    ).provenance["refused"]
    assert [one["file"].rpartition("/")[2] for one in found] == ["a_r.fits", "b_r.fits"]

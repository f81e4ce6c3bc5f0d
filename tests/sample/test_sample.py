import errno
import json

import astropy.units as u
import numpy as np
import pytest
import zarr
from astropy.table import MaskedColumn, QTable

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, SampleWriter


def rebuilt(sample, *, images=None, catalogue=None, **changes):
    options = {"bands": sample.bands, "pixel_scale": sample.pixel_scale} | changes
    return Sample(
        sample.images if images is None else images,
        sample.catalogue if catalogue is None else catalogue,
        **options,
    )


def test_save_and_load_keep_everything(small_sample, tmp_path):
    small_sample.provenance["source"] = "test"
    back = Sample.load(small_sample.save(tmp_path / "s"))
    np.testing.assert_array_equal(back.images, small_sample.images)
    assert back.images.dtype == np.float32
    assert back.bands == ("xray", "optical")
    assert back.pixel_scale == small_sample.pixel_scale
    assert back.provenance == {"source": "test"}
    assert back.catalogue["ra"].unit == u.deg
    assert back.labels.tolist() == small_sample.labels.tolist()


def test_loading_reads_no_pixels(small_sample, tmp_path, monkeypatch):
    small_sample.save(tmp_path / "s")

    def refuse(*args):
        raise RuntimeError("pixels were read")

    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)
    monkeypatch.setattr(type(zarr.open_array(tmp_path / "s" / "images.zarr").oindex), "__getitem__", refuse)
    sample = Sample.load(tmp_path / "s")
    chosen = sample.select(sample.labels == "point source", bands=["optical"])
    assert chosen.shape == (3, 1, 16, 16)
    assert "12 objects" in repr(sample)
    assert "low-z cluster" in sample._repr_html_()
    with pytest.raises(InputError, match="pixels were read"):
        _ = chosen.images


@pytest.mark.parametrize("stored", [False, True])
def test_select_rows_and_bands(small_sample, tmp_path, stored):
    sample = Sample.load(small_sample.save(tmp_path / "s")) if stored else small_sample
    for rows in ([4, 1], ["X04", "X01"], np.isin(np.arange(12), [4, 1])):
        chosen = sample.select(rows, bands=("optical", "xray"))
        order = [int(i[1:]) for i in chosen.object_ids]
        assert sorted(order) == [1, 4]
        np.testing.assert_array_equal(chosen.images, small_sample.images[order][:, ::-1])
    nested = sample.select(slice(2, 8)).select([-1, 0], bands=["optical"])
    assert nested.object_ids.tolist() == ["X07", "X02"]
    np.testing.assert_array_equal(nested.band("optical"), small_sample.images[[7, 2], 1])


def test_batches_cover_all_rows_once(small_sample, tmp_path):
    sample = Sample.load(small_sample.save(tmp_path / "s"))
    pieces = list(sample.batches(5))
    assert [rows for rows, _ in pieces] == [slice(0, 5), slice(5, 10), slice(10, 12)]
    np.testing.assert_array_equal(np.concatenate([images for _, images in pieces]), small_sample.images)
    with pytest.raises(InputError, match="size must be at least 1, got 0"):
        next(sample.batches(0))


def test_content_hash_sees_pixels_and_labels_but_not_pieces(small_sample, tmp_path):
    with SampleWriter(
        tmp_path / "s", bands=small_sample.bands, pixel_scale=small_sample.pixel_scale
    ) as writer:
        for rows, images in small_sample.batches(5):
            writer.append(images, small_sample.catalogue[rows])
    assert Sample.load(tmp_path / "s").content_hash == small_sample.content_hash
    images = small_sample.images.copy()
    images[3, 0, 2, 2] += 1
    assert rebuilt(small_sample, images=images).content_hash != small_sample.content_hash
    catalogue = small_sample.catalogue.copy()
    catalogue["label"][0] = "edge"
    assert rebuilt(small_sample, catalogue=catalogue).content_hash != small_sample.content_hash


@pytest.mark.parametrize("kind", [">f4", ">i2", "<f8"])
def test_the_order_of_bytes_changes_nothing(kind, small_sample, tmp_path):
    images = small_sample.images.astype(kind)
    swapped = rebuilt(small_sample, images=images)
    native = rebuilt(small_sample, images=images.astype(images.dtype.newbyteorder("=")))
    assert swapped.dtype.isnative
    assert swapped.content_hash == native.content_hash
    with SampleWriter(tmp_path / "s", bands=small_sample.bands, pixel_scale=2.36 * u.arcsec) as writer:
        writer.append(images, small_sample.catalogue)
    back = Sample.load(tmp_path / "s")
    np.testing.assert_array_equal(back.images, images)
    assert back.content_hash == native.content_hash


def test_ids_and_labels_are_plain_text(small_sample):
    catalogue = small_sample.catalogue.copy()
    catalogue["object_id"] = np.arange(12)
    catalogue["label"] = MaskedColumn(["hidden"] * 12, mask=[True] + [False] * 11)
    sample = rebuilt(small_sample, catalogue=catalogue)
    assert sample.object_ids[:2].tolist() == ["0", "1"]
    assert sample.catalogue["label"][:2].tolist() == ["", "hidden"]
    catalogue["object_id"] = MaskedColumn(np.arange(12), mask=[False] * 11 + [True])
    with pytest.raises(InputError, match="object_id must name every object, got none for 1 of them"):
        rebuilt(small_sample, catalogue=catalogue)


def test_text_from_data_is_escaped(small_sample):
    tag = "<img src=x onerror=alert(1)>"
    catalogue = small_sample.catalogue.copy()
    catalogue["label"] = np.full(12, tag)
    sample = rebuilt(small_sample, catalogue=catalogue, bands=(tag, "<b>"), provenance={"source": tag})
    page = sample._repr_html_()
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 3
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda chunk: chunk.write_bytes(chunk.read_bytes()[:-9] + b"123456789"), "are damaged"),
        (lambda chunk: chunk.write_bytes(b""), "are damaged"),
        (lambda chunk: chunk.unlink(), "1 of 1 chunks are missing"),
    ],
)
def test_a_damaged_chunk_is_refused(damage, message, small_sample, tmp_path):
    path = small_sample.save(tmp_path / "s")
    damage(next(p for p in (path / "images.zarr" / "c").rglob("*") if p.is_file()))
    sample = Sample.load(path)
    for read in (lambda: sample.images, lambda: sample.select([3]).images, lambda: sample.band("xray")):
        with pytest.raises(InputError, match=message):
            read()


def test_a_sample_of_zeros_is_whole(small_sample, tmp_path):
    path = rebuilt(small_sample, images=np.zeros_like(small_sample.images)).save(tmp_path / "s")
    assert not Sample.load(path).images.any()


def test_hundred_thousand_objects_open_without_their_images(tmp_path):
    n = 100_000
    catalogue = QTable({"object_id": np.arange(n).astype(str), "ra": np.zeros(n) * u.deg})
    catalogue["dec"], catalogue["label"] = np.zeros(n) * u.deg, np.full(n, "edge")
    with SampleWriter(tmp_path / "s", bands=["xray"], pixel_scale=2 * u.arcsec) as writer:
        writer.append(np.zeros((n, 1, 4, 4), np.uint8), catalogue)
    for chunk in (tmp_path / "s" / "images.zarr").rglob("c/*"):
        if chunk.is_file():
            chunk.unlink()
    assert len(Sample.load(tmp_path / "s")) == n


def changed(sample, **columns):
    """The Sample's catalogue with columns changed; None drops one."""
    catalogue = sample.catalogue.copy()
    for name, values in columns.items():
        if values is None:
            del catalogue[name]
        else:
            catalogue[name] = values
    return catalogue


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"bands": ("xray", "xray")}, "bands must be different names"),
        ({}, {"bands": ("xray",)}, "images must have the shape"),
        ({}, {"pixel_scale": 2.0 * u.m}, "pixel_scale must be an angle"),
        ({}, {"pixel_scale": -1 * u.arcsec}, "pixel_scale must be one positive angle"),
        ({"object_id": ["X00"] * 2 + list("abcdefghij")}, {}, r"got 1 repeated, first \['X00'\]; remove"),
        ({"ra": np.zeros(12)}, {}, "column 'ra' must be an angle"),
        ({"label": None}, {}, r"\['label'\] missing"),
    ],
)
def test_bad_arguments_and_catalogues(small_sample, columns, options, message):
    with pytest.raises(InputError, match=message):
        rebuilt(small_sample, catalogue=changed(small_sample, **columns), **options)


@pytest.mark.parametrize(
    ("rows", "bands", "message"),
    [
        (["Y"], None, r"unknown ids: \['Y'\]"),
        (None, ["uv"], r"bands must be among .* got \['uv'\]"),
        (np.ones(3, bool), None, "a mask must have one value per object"),
        ([12], None, "row indices must lie below 12"),
    ],
)
def test_bad_selections(small_sample, rows, bands, message):
    with pytest.raises(InputError, match=message):
        small_sample.select(rows, bands=bands)


def test_an_interrupted_write_leaves_nothing(small_sample, tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        SampleWriter(tmp_path / "s", bands=small_sample.bands, pixel_scale=2 * u.arcsec) as writer,
    ):
        writer.append(small_sample.images, small_sample.catalogue)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(small_sample, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(InputError, match="the disk is full while writing .*free space and run again"):
        small_sample.save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_overwriting_is_asked_for_and_failing_keeps_the_old(small_sample, tmp_path):
    small_sample.save(tmp_path / "s")
    with pytest.raises(InputError, match="path must not exist yet"):
        small_sample.save(tmp_path / "s")
    with (
        pytest.raises(InputError, match="nothing was appended"),
        SampleWriter(tmp_path / "s", bands=["xray"], pixel_scale=2 * u.arcsec, overwrite=True),
    ):
        pass
    assert len(Sample.load(tmp_path / "s")) == 12
    small_sample.select(slice(0, 3)).save(tmp_path / "s", overwrite=True)
    assert len(Sample.load(tmp_path / "s")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_sample_that_a_killed_writer_moved_aside_comes_back(small_sample, tmp_path):
    small_sample.save(tmp_path / "s").rename(tmp_path / ".s.old")
    assert len(Sample.load(tmp_path / "s")) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_pieces_must_agree(small_sample, tmp_path):
    with SampleWriter(tmp_path / "s", bands=small_sample.bands, pixel_scale=2 * u.arcsec) as writer:
        writer.append(small_sample.images[:6], small_sample.catalogue[:6])
        with pytest.raises(InputError, match="again in a later piece"):
            writer.append(small_sample.images[5:], small_sample.catalogue[5:])
        with pytest.raises(InputError, match="all pieces must be"):
            writer.append(small_sample.images[6:, :, :8], small_sample.catalogue[6:])
        writer.append(small_sample.images[6:], small_sample.catalogue[6:])
    assert len(Sample.load(tmp_path / "s")) == 12


def test_loading_what_is_no_sample(small_sample, tmp_path):
    with pytest.raises(MissingDataError, match="path must be the folder of a Sample"):
        Sample.load(tmp_path)
    path = small_sample.save(tmp_path / "s")
    header = json.loads((path / "sample.json").read_text())
    (path / "sample.json").write_text(json.dumps(header | {"format": "other"}))
    with pytest.raises(InputError, match="must have the format labkit-sample-1, got 'other'"):
        Sample.load(path)
    (path / "sample.json").write_text("{")
    with pytest.raises(InputError, match=r"sample.json' is damaged"):
        Sample.load(path)
    for changes in ({"bands": 5}, {"pixel_scale_arcsec": "wide"}, {"provenance": None}):
        (path / "sample.json").write_text(json.dumps(header | changes))
        with pytest.raises(InputError, match="'.*s' is damaged"):
            Sample.load(path)
    (path / "sample.json").write_text(json.dumps(header))
    (path / "images.zarr" / "zarr.json").unlink()
    with pytest.raises(InputError, match="cannot be opened"):
        Sample.load(path)

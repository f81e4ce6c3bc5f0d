"""The published training set: layout, channel order, labels, splits, and every way it can be damaged."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample
from labkit.sources.channel_order import channel_statistics, decide_channels
from labkit.sources.kosiba2020 import fetch_kosiba2020
from labkit.taxonomy import BINARY, FIVE_CLASSES

TRAIN = {f"t{i}": name for i, name in enumerate(["low-z"] * 5 + ["hi-z"] * 5 + ["galaxy", "point", "other"])}
TEST = {"a1": "low-z", "a2": "point"}
ARCHIVE = ("empty", "optical", "xray")  # as the archive record says
PAPER = ("empty", "xray", "optical")  # as section 3.1 says


def _grey(data, low, high):
    return np.uint8(255 * (1 - np.clip((data - low) / (high - low), 0, 1)))


def _xray(rng, *, interpolated=False):
    """Few counts on 2.5" pixels, enlarged to 356; drawn dark on white."""
    y, x = np.mgrid[:168, :168] - 84
    counts = rng.poisson(0.15 + 3 * (1 + (x**2 + y**2) / 64) ** -1.5)
    way = Image.Resampling.BILINEAR if interpolated else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(_grey(counts, 0, 4)).resize((356, 356), way))


def _optical(rng):
    """Correlated plate noise and stars."""
    plate = gaussian_filter(rng.normal(0, 1, (356, 356)), 0.8)
    stars = np.zeros((356, 356))
    stars[rng.integers(0, 356, 60), rng.integers(0, 356, 60)] = rng.pareto(1.5, 60) * 30
    plate += gaussian_filter(stars, 1.5)
    return _grey(plate, np.median(plate) - plate.std(), np.median(plate) + 5 * plate.std())


def _image(rng, order):
    planes = {"empty": np.zeros((356, 356), np.uint8), "xray": _xray(rng), "optical": _optical(rng)}
    return np.stack([planes[role] for role in order], axis=-1)


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _files(order, train=TRAIN, test=TEST):
    rng = np.random.default_rng(5)
    files = {}
    for split, rows in (("train", train), ("test", test)):
        lines = ["image_id,class", *(f"{name},{label}" for name, label in rows.items())]
        files[f"{split}.csv"] = "\n".join(lines).encode()
        files |= {f"{split}_images/{name}.png": _png(_image(rng, order)) for name in rows}
    return files


def _zip(path: Path, files, folder="Kosiba2020/"):
    with zipfile.ZipFile(path, "w") as handle:
        for name, content in files.items():
            handle.writestr(folder + name, content)
    return path


@pytest.fixture(scope="module")
def good():
    files = _files(PAPER)
    assert len(files) == 2 + len(TRAIN) + len(TEST)
    return files


@pytest.fixture
def pack(good, tmp_path):
    """Make a zip file of the good set with some files changed or, where None, left out."""

    def make(changes=None):
        files = {**good, **(changes or {})}
        return _zip(tmp_path / "Kosiba2020.zip", {k: v for k, v in files.items() if v is not None})

    return make


def test_sample_of_a_zip_file(pack, good):
    sample = fetch_kosiba2020(pack())
    assert sample.shape == (15, 2, 356, 356)
    assert sample.dtype == np.uint8
    assert sample.bands == ("xray", "optical")
    assert u.isclose(sample.pixel_scale * 356, 7 * u.arcmin)
    assert np.isnan(sample.catalogue["ra"]).all()
    assert sample.catalogue["ra"].unit == u.deg
    pixels = np.asarray(Image.open(io.BytesIO(good["train_images/t3.png"])))
    chosen = sample.select(["t3"])
    np.testing.assert_array_equal(chosen.images[0], np.moveaxis(pixels[..., 1:], -1, 0))
    assert set(sample.labels) == set(FIVE_CLASSES.classes)
    assert (BINARY.encode(sample.labels) == BINARY.classes.index("cluster")).sum() == 11


@pytest.mark.parametrize("order", [ARCHIVE, ("optical", "xray", "empty"), ("xray", "empty", "optical")])
def test_channel_order_is_read_from_the_pixels(order, tmp_path):
    files = _files(order, train={"b1": "low-z", "b2": "point"}, test={"c": "other"})
    sample = fetch_kosiba2020(_zip(tmp_path / "a.zip", files))
    record = sample.provenance["channels"]
    assert record["order"] == list(order)
    assert record["evidence"]["train"]["votes_for"] == 2
    assert record["evidence"]["test"]["votes_against"] == 0
    equal = record["evidence"]["train"]["equal_neighbours"]
    assert equal["xray"] > 0.6 > 0.2 > equal["optical"]
    assert len(np.unique(sample.band("xray"))) < 10 < len(np.unique(sample.band("optical")))


def test_enlarged_by_interpolation_and_inverted_is_still_xray():
    rng = np.random.default_rng(0)
    images = [
        255 - np.stack([np.zeros((356, 356), np.uint8), _xray(rng, interpolated=True), _optical(rng)], -1)
        for _ in range(3)
    ]
    assert tuple(decide_channels(images)["order"]) == PAPER


def test_statistics_ignore_brightness_and_polarity():
    image = _image(np.random.default_rng(2), PAPER)
    here, there, one, other = map(channel_statistics, (image, 255 - image, image // 2 * 2, image // 2))
    np.testing.assert_allclose(here[:, 1:3], there[:, 1:3])
    np.testing.assert_allclose(one[1:, 1], other[1:, 1])


@pytest.mark.parametrize(("flip", "level"), [(False, 255), (True, 0)])
def test_level_of_empty_sky_is_read_from_the_pixels(tmp_path, flip, level):
    files = _files(PAPER, train={"b": "low-z"}, test={"c": "other"})
    for name in ("train_images/b.png", "test_images/c.png"):
        pixels = np.array(Image.open(io.BytesIO(files[name])))
        files[name] = _png(255 - pixels if flip else pixels)
    sample = fetch_kosiba2020(_zip(tmp_path / "a.zip", files))
    assert sample.provenance["normalisation"]["no_emission"] == level
    assert sample.provenance["channels"]["order"] == list(PAPER)


def test_statistics_by_hand():
    checks = np.indices((4, 4)).sum(0) % 2
    halves = np.repeat([[0, 0, 7, 7]], 4, axis=0)
    table = channel_statistics(np.stack([np.full((4, 4), 3), checks, halves], -1).astype(np.uint8))
    np.testing.assert_allclose(table[:, 0], [0, 1, 7])
    np.testing.assert_allclose(table[:, 1], [1, 0, (1 + 2 / 3) / 2])
    np.testing.assert_allclose(table[:, 2], [0, 1, 1])
    assert table[0, 3] == 3


def test_order_that_cannot_be_decided(tmp_path):
    files = _files(("empty", "optical", "optical"), train={"b1": "low-z"}, test={"c": "other"})
    path = _zip(tmp_path / "a.zip", files)
    with pytest.raises(InputError, match=r"X-ray and optical channels must differ clearly.*give channels="):
        fetch_kosiba2020(path)
    sample = fetch_kosiba2020(path, channels=ARCHIVE)
    assert sample.provenance["channels"] == {"order": list(ARCHIVE), "evidence": "given"}
    with pytest.raises(InputError, match=r"channels must be .* in some order, got \('xray', 'optical'\)"):
        fetch_kosiba2020(path, channels=["xray", "optical"])


def test_train_and_test_must_agree(tmp_path):
    files = _files(PAPER, train={"b": "low-z"}) | {
        "test_images/a1.png": _files(ARCHIVE)["test_images/a1.png"]
    }
    files["test.csv"] = b"image_id,class\na1,low-z\n"
    with pytest.raises(InputError, match="train and test images must have the same channel order"):
        fetch_kosiba2020(_zip(tmp_path / "a.zip", files))


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([("xray", "xray", "optical")], "exactly one channel must be empty"),
        ([("empty", "empty", "xray")], "exactly one channel must be empty"),
        ([PAPER, PAPER, ARCHIVE], "got 2 to 1 votes of 3 images"),
        ([], "at least one image"),
    ],
)
def test_images_that_do_not_tell(orders, message):
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match=message):
        decide_channels([_image(rng, order) for order in orders])


def test_real_counts_against_a_real_plate(real):
    xmm = sorted(real.glob("xmm/a907_*/[mp]*_image.fits.gz"))
    plate = fits.getdata(real / "dss2" / "horsehead_poss2_red.fits.gz").astype(float)
    images = []
    for start in range(0, len(xmm), 3):
        counts = sum(fits.getdata(path).astype(float) for path in xmm[start : start + 3])
        for y, x in [(256, 256), (200, 260), (320, 230)]:
            sky = counts[y - 48 : y + 49, x - 48 : x + 49]  # 7' of 4.35" pixels
            xray = _grey(sky, 0, 14 * max(sky.mean(), 0.1))
            xray = np.asarray(Image.fromarray(xray).resize((356, 356), Image.Resampling.NEAREST))
            stars = plate[y - 200 : y + 216, x : x + 416]  # 7' of 1.009" pixels
            optical = _grey(stars, np.median(stars) - stars.std(), np.median(stars) + 5 * stars.std())
            optical = np.asarray(Image.fromarray(optical).resize((356, 356), Image.Resampling.BILINEAR))
            images.append(np.stack([optical, np.zeros_like(xray), xray], -1))
    assert len(images) == 6
    decision = decide_channels(images)
    assert decision["order"] == ["optical", "empty", "xray"]
    assert decision["votes_for"] == 6


def test_splits_are_the_published_ones_with_validation_drawn_by_class(pack):
    path = pack()
    sample = fetch_kosiba2020(path, validation_fraction=0.4, seed=3)
    split, labels = np.asarray(sample.catalogue["split"]), sample.labels
    assert (split == "test").sum() == len(TEST)
    for label in ("low-z cluster", "high-z cluster"):
        assert (split[labels == label] == "validation").sum() == 2
    again = fetch_kosiba2020(path, validation_fraction=0.4, seed=np.random.default_rng(3))
    np.testing.assert_array_equal(split, again.catalogue["split"])
    none = fetch_kosiba2020(path, validation_fraction=0)
    assert set(none.catalogue["split"]) == {"train", "test"}
    with pytest.raises(InputError, match="validation_fraction must be at least 0 and below 1, got 1"):
        fetch_kosiba2020(path, validation_fraction=1)


def test_unpacked_or_written_in_pieces_it_is_the_same(pack, tmp_path, monkeypatch):
    path = pack()
    with zipfile.ZipFile(path) as handle:
        handle.extractall(tmp_path / "out")
    whole = fetch_kosiba2020(path)
    monkeypatch.setattr("labkit.sources.kosiba2020._BATCH", 4)
    done = []
    options = {"output": tmp_path / "sample", "progress": lambda *step: done.append(step)}
    written = fetch_kosiba2020(tmp_path / "out", **options)
    assert done == [(4, 15), (8, 15), (12, 15), (15, 15)]
    assert written.content_hash == whole.content_hash
    assert Sample.load(tmp_path / "sample").provenance["source"].startswith("Kosiba et al. 2020")
    assert fetch_kosiba2020(tmp_path / "out" / "Kosiba2020").content_hash == whole.content_hash


def test_a_damaged_image_leaves_no_half_written_sample(pack, tmp_path, good):
    path = pack({"train_images/t12.png": good["train_images/t12.png"][:2000]})
    with pytest.raises(InputError, match=r"train_images/t12.png is not a whole PNG image"):
        fetch_kosiba2020(path, output=tmp_path / "sample", channels=PAPER)
    assert [entry.name for entry in tmp_path.iterdir()] == ["Kosiba2020.zip"]


def test_fetch_downloads_once_and_records_where_from(server, pack, tmp_path):
    server.offer(pack().read_bytes())
    sample = fetch_kosiba2020(url=server.url, cache=tmp_path / "cache")
    assert sample.provenance["url"] == server.url
    assert sample.provenance["checksum"] == server.checksum
    assert sample.provenance["data"] == "real"
    server.asked.clear()
    fetch_kosiba2020(url=server.url, cache=tmp_path / "cache")
    assert server.asked == []


def test_an_own_copy_is_read_where_it_lies(server, pack):
    sample = fetch_kosiba2020(pack(), url=server.url)
    assert (sample.provenance["url"], sample.provenance["checksum"], server.asked) == (None, None, [])


def test_same_numbering_in_both_lists(tmp_path):
    files = _files(PAPER, train={"1": "low-z", "2": "point"}, test={"1": "hi-z"})
    sample = fetch_kosiba2020(_zip(tmp_path / "a.zip", files))
    assert sample.object_ids.tolist() == ["train-1", "train-2", "test-1"]
    files["test_images/1.png"] = files["train_images/1.png"]
    with pytest.raises(InputError, match=r"both train.csv and test.csv, got '1'"):
        fetch_kosiba2020(_zip(tmp_path / "b.zip", files))


def listing(rows):
    return {"train.csv": f"image_id,class\n{rows}".encode()}


def one_image(*shape):
    return {"test_images/a1.png": _png(np.zeros(shape, np.uint8))}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.csv": None}, r"must hold one 'train.csv', .*, got 0"),
        ({"test.csv": None}, r"must hold 'test.csv'"),
        ({"train_images/t2.png": None}, r"1 missing, first 'train_images/t2.png'"),
        ({"train.csv": b"image_id,label\nt1,low-z"}, r"columns image_id and class; \['class'\] missing"),
        (listing(""), "at least one image, got an empty table"),
        (listing("t1,quasar"), "line 2: class must be one of .* got 'quasar'"),
        (listing("t1"), "line 2: class must be one of .* got ''"),
        (listing("t1,low-z\nt1,hi-z"), r"unique, got 1 repeated, first \['t1'\]"),
        (listing("../t1,low-z"), r"plain file name, got '../t1'"),
        ({"train.csv": b"\xff\xfe\x00\x01"}, "train.csv must be a text table"),
        ({"test_images/a1.png": b"not an image"}, "a1.png is not a whole PNG image"),
        (one_image(178, 356, 3), "got 356 x 178 and RGB"),
        (one_image(356, 356), "got 356 x 356 and L"),
        (one_image(356, 356, 4), "got 356 x 356 and RGBA"),
        ({"test_images/a1.png": bytes(2_000_000)}, "at most 1520832 bytes, got more"),
    ],
)
def test_damaged_sets_are_refused(pack, changes, message):
    with pytest.raises((InputError, MissingDataError), match=message):
        fetch_kosiba2020(pack(changes))


def test_a_file_in_the_zip_that_swells_is_not_read_to_its_end(good, tmp_path):
    path = _zip(tmp_path / "a.zip", {k: v for k, v in good.items() if k != "train.csv"})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as handle:
        handle.writestr("Kosiba2020/train.csv", bytes(50_000_000))
    assert path.stat().st_size < 20_000_000
    tracemalloc.start()
    with pytest.raises(InputError, match="'train.csv' in .* must have at most 10000000 bytes, got more"):
        fetch_kosiba2020(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_damaged_zips_and_paths_without_one(pack, good, tmp_path):
    path = pack()
    content = path.read_bytes()
    path.write_bytes(content[:-500])
    with pytest.raises(InputError, match="is not a whole zip file"):
        fetch_kosiba2020(path)
    where = content.index(good["test_images/a1.png"][:400]) + 3000
    path.write_bytes(content[:where] + bytes(20) + content[where + 20 :])
    with pytest.raises(InputError, match="'test_images/a1.png' in .* is damaged"):
        fetch_kosiba2020(path)
    with pytest.raises(MissingDataError, match="path must be a zip file or a folder that exists"):
        fetch_kosiba2020(tmp_path / "none.zip")
    with pytest.raises(MissingDataError, match="must hold one 'train.csv', directly or one folder down"):
        fetch_kosiba2020(tmp_path)

"""Classes of one's own work wherever those of the papers do, from labels to the inspector."""

import io
from contextlib import redirect_stdout

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

import labkit as lab
from labkit.cli import main
from labkit.errors import InputError
from labkit.evaluate import confusion_matrix
from labkit.views import confusion, inspector

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def grey():
    """Forty grey images of one band: bright lenses, faint galaxies of two kinds, and artefacts."""
    rng = np.random.default_rng(3)
    labels = np.tile(["lens", "spiral", "lens", "elliptical", "artefact"], 8)
    images = rng.integers(0, 120, (40, 1, 16, 16)) + 120 * (labels == "lens")[:, None, None, None]
    catalogue = QTable({"object_id": [f"{n:03d}" for n in range(40)], "label": labels})
    catalogue["ra"] = catalogue["dec"] = np.arange(40) * u.deg
    catalogue["split"] = np.repeat(["train", "validation", "test"], [20, 10, 10])
    record = {"normalisation": {"method": "asinh"}}
    return lab.Sample(
        images.astype(np.uint8), catalogue, bands=["r"], pixel_scale=1 * u.arcsec, provenance=record
    )


@pytest.fixture(scope="module")
def lenses():
    """Lenses against galaxies, in an experiment of one epoch."""
    return lab.preset(
        "VGG small images", name="lenses", classes=["galaxy", "lens"], positive="lens", bands=["r"],
        merge={"spiral": "galaxy", "elliptical": "galaxy"}, left_out=["artefact"], image_size=16, epochs=8,
        precision="fp32", seeds=(1, 2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def swept(grey, lenses, tmp_path_factory):
    """The run folder of a sweep, and its predictions."""
    run = tmp_path_factory.mktemp("own") / "run"
    return run, lab.sweep([lenses], grey, run=run, workers=0, progress=False)


def test_training_and_measures(grey, lenses, swept):
    run, predictions = swept
    assert (predictions.classes, predictions.positive) == (("galaxy", "lens"), "lens")
    assert sorted(set(predictions.table["true"])) == ["", "galaxy", "lens"]
    measured = lab.measure(predictions)
    assert (measured["objects"][0], measured["positives"][0]) == (8, 4)
    assert measured["auc"][0] == 1
    assert "p_lens" in lab.rank(predictions, grey.catalogue).colnames
    assert run / "predictions_galaxy+lens.parquet" == lab.RunFolder(run).predictions_of(lenses.scheme)
    again = lab.predict(run, grey)
    np.testing.assert_allclose(again.score, predictions.score, atol=1e-6)


def test_figures_and_inspector(grey, swept):
    run, predictions = swept
    tested = predictions.select(split="test").known
    assert any("AUC" in item.label.value for item in lab.roc(tested).legend[0].items)
    first = next(iter(tested.runs()))[1]
    matrix = confusion_matrix(first.true_codes, first.probabilities.argmax(1), n_classes=2)
    assert matrix.sum() == 8
    assert lab.confusion(matrix, first.classes)
    assert confusion.cell_cutouts(first, grey)
    state = inspector.ErrorState(inspector.gather(grey, predictions), grey.catalogue)
    assert state.positive == "lens"
    assert state.auc == 1
    widget = lab.inspect_errors(grey, predictions, verdicts=str(run / "verdicts.csv"))
    assert widget is not None
    glow = lab.class_activation(lab.find_models(run)[0], grey.select(["000"]))
    assert glow.codes.tolist() == [1]


def test_several_classes_without_a_positive_one(grey, lenses, tmp_path):
    three = lenses.changed(
        name="three", classes=["spiral", "elliptical", "lens"], merge={}, positive=None, seeds=(1,), epochs=1
    )
    predictions = lab.sweep([three], grey, run=tmp_path, workers=0, progress=False)
    assert lab.measure(predictions, classes="each")["class"].tolist()[:3] == ["spiral", "elliptical", "lens"]
    assert lab.measure(predictions)["objects"].tolist() == [8]


def test_labels_that_have_no_place_are_refused_before_training(grey, lenses, tmp_path):
    for fields, message in (
        ({"left_out": ()}, r"scheme 'galaxy\+lens', got \['artefact'\]"),
        ({"classes": ["galaxy", "lens", "ring"]}, r"got none of \['ring'\]"),
    ):
        with pytest.raises(InputError, match=message):
            lab.sweep([lenses.changed(**fields)], grey, run=tmp_path, workers=0)
    swapped = lenses.changed(name="swapped", positive="galaxy")
    with pytest.raises(InputError, match="must agree on the classes 'galaxy\\+lens'"):
        lab.sweep([lenses, swapped], grey, run=tmp_path, workers=0)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_toml_and_the_command_line(grey, lenses, tmp_path):
    (tmp_path / "own.toml").write_text(
        '[[experiments]]\nname = "lenses"\npreset = "VGG small images"\nclasses = ["galaxy", "lens"]\n'
        'positive = "lens"\nbands = ["r"]\nleft_out = ["artefact"]\nimage_size = 16\nepochs = 8\n'
        'seeds = [1, 2]\nprecision = "fp32"\nmerge = { spiral = "galaxy", elliptical = "galaxy" }\n'
    )
    assert lab.read_experiments(tmp_path / "own.toml") == (lenses,)
    real = grey.select(grey.labels != "artefact")
    real.catalogue["label"] = np.where(real.labels == "lens", "lens", "galaxy")
    real.save(tmp_path / "sample")
    words = ["train", tmp_path / "sample", "--experiment", "VGG small images", "--bands", "r", "--epochs", 1]
    words += ["--classes", "galaxy, lens", "--positive", "lens", "--image-size", 16]
    start = tmp_path / "run" / "checkpoints" / "VGG-small-images-seed0"
    for run, options in (("run", []), ("tuned", ["--start", start, "--frozen", 2, "--layer-decay", 0.5])):
        with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
            main([str(word) for word in [*words, "--run", tmp_path / run, *options]])
        assert (ended.value.code or 0) == 0
        assert "VGG-small-images-seed0: best epoch 1 of 1" in out.getvalue()
    first, tuned = (lab.find_models(tmp_path / run)[0] for run in ("run", "tuned"))
    assert first.classes == ("galaxy", "lens")
    assert (tuned.started_from["folder"], tuned.started_from["new"]) == (str(start), [])
    assert (tuned.experiment.frozen, tuned.experiment.layer_decay) == (2, 0.5)


def test_a_raw_object_is_explained_and_shown_as_it_is(grey, lenses, tmp_path):
    """Raw images are normalised as the model's were; a gallery takes arrays and is saved as a page."""
    raw = lab.Sample(
        grey.images.astype(np.float32), grey.catalogue, bands=["r"], pixel_scale=grey.pixel_scale
    )
    levels = lab.normalise(raw, method="asinh")
    fitted = lab.train(lenses.changed(epochs=1), levels, run=tmp_path / "run", progress=False)
    one = raw.select(["002"])
    glow = lab.class_activation(fitted.model, one)
    np.testing.assert_array_equal(glow.maps, lab.class_activation(fitted.model, levels.select(["002"])).maps)
    sheet = lab.gallery([*one.images[0], *glow.maps])
    pictures = sheet.renderers[0].data_source.data["uri"]
    assert [picture[:15] for picture in pictures] == ["data:image/png;"] * 2
    assert pictures[0] in lab.save_page(sheet, tmp_path / "activation.html").read_text()

"""Networks that learn numbers: means and widths, folds, units, and what is refused."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn
from scipy.stats import norm

from labkit.errors import InputError
from labkit.experiment import AdamW, Experiment
from labkit.explain import class_activation
from labkit.learn import Model, find_models, fold_numbers, out_of_fold, predict, train
from labkit.learn.parts import split_for_training
from labkit.learn.predict import logits
from labkit.learn.targets import gaussian_losses, mean_and_variance
from labkit.predictions import Estimates
from labkit.sample import Sample

TARGETS = ("log size", "level")


def blobs_of(size, level, made) -> Sample:
    """The catalogue of another Sample with blobs of these sizes and brightnesses, the numbers to learn."""
    y, x = np.mgrid[:32, :32] - 15.5
    shape = level[:, None, None] * np.exp(-0.5 * (x**2 + y**2) / size[:, None, None] ** 2)
    made.catalogue["size"], made.catalogue["level"] = size * u.kpc, level
    about = {"bands": made.bands, "pixel_scale": made.pixel_scale, "provenance": made.provenance}
    return Sample(np.repeat(shape[:, None], 2, axis=1).astype(np.uint8), made.catalogue, **about)


@pytest.fixture
def sized(make_sample) -> Sample:
    rng = np.random.default_rng(5)
    return blobs_of(10 ** rng.uniform(0.2, 0.9, 30), rng.uniform(60, 200, 30), make_sample(30))


@pytest.fixture
def numbers(quick) -> Experiment:
    changes = {
        "batches": "shuffled",
        "plateau_monitor": "validation_loss",
        "augmentation": None,
        "dropout": 0,
    }
    return quick.changed(name="numbers", targets=TARGETS, **changes)


@pytest.fixture
def folded(numbers) -> Experiment:
    return numbers.changed(folds=3, epochs=1, stratify_by="label")


def test_overfits_eight_images_and_reloads_to_equal_numbers(make_sample, numbers, tmp_path):
    rng = np.random.default_rng(5)
    size, level = np.tile(10 ** rng.uniform(0.2, 0.9, 8), 2), np.tile(rng.uniform(60, 200, 8), 2)
    twice = blobs_of(size, level, make_sample(16))
    twice.catalogue["split"] = ["train"] * 8 + ["validation"] * 8  # of the same images
    options = {"network": "vgg-small", "bands": ("xray", "optical"), "optimiser": AdamW(learning_rate=2e-3)}
    fitted = train(numbers.changed(epochs=60, **options), twice, run=tmp_path, device="cpu")
    history = fitted.history
    assert fitted.best_epoch == int(np.argmin([row["validation_loss"] for row in history]))
    assert history[fitted.best_epoch]["validation_error"] < 0.2 < 0.8 < history[0]["validation_error"]
    again, images = Model.load(fitted.folder), torch.from_numpy(twice.images)
    assert torch.equal(logits(fitted.model, images), logits(again, images))
    found, back = (predict(one, twice) for one in (fitted, again))
    assert isinstance(found, Estimates)
    assert found.table.colnames[-5:] == ["target", "unit", "true", "predicted", "width"]
    assert np.array_equal(found.predicted, back.predicted)
    assert np.array_equal(found.width, back.width)
    for target, unit, wanted in (("log size", "kpc", np.log10(size)), ("level", "", level)):
        part = found.select(found.table["target"] == target)
        np.testing.assert_allclose(part.true, wanted)
        assert set(part.table["unit"]) == {unit}
        assert np.abs(part.predicted - wanted).max() < 0.5 * wanted.std()


def test_an_equal_call_resumes_and_another_target_is_another_training(sized, numbers, tmp_path):
    first = train(numbers, sized, run=tmp_path, device="cpu")
    assert train(numbers, sized, run=tmp_path, device="cpu").history == first.history
    sized.catalogue["level"][0] += 1
    with pytest.raises(InputError, match="holds one with another labels"):
        train(numbers, sized, run=tmp_path, device="cpu")


def test_the_scale_is_that_of_the_training_set_alone(sized, folded, tmp_path):
    sized.catalogue["level"] = MaskedColumn(sized.catalogue["level"], mask=np.arange(30) == 4)
    sized.catalogue["size"][7] = np.nan
    parts = split_for_training(folded, sized, fold=1)
    rows = np.concatenate([part.rows for part in parts.values()])
    assert sorted(rows.tolist()) == [row for row in range(30) if row not in (4, 7)], "each in one part"
    fitted = train(folded, sized, run=tmp_path, fold=1, device="cpu")
    values = np.log10(sized.catalogue["size"].value)[parts["train"].rows]
    expected = {"unit": "kpc", "mean": pytest.approx(values.mean()), "scatter": pytest.approx(values.std())}
    assert fitted.model.target_scales["log size"] == expected
    assert Model.load(fitted.folder).target_scales == fitted.model.target_scales
    inside = parts["train"].target
    far = parts["test"].rows
    sized.catalogue["level"][far] = 1e6  # what is tested must not change what is learned
    changed = split_for_training(folded, sized, fold=1)
    np.testing.assert_array_equal(changed["train"].target, inside)


def test_each_object_is_estimated_once_by_a_network_that_never_saw_it(sized, folded, tmp_path):
    sized.catalogue["size"][7] = np.nan
    for fold in range(3):
        train(folded, sized, run=tmp_path, fold=fold, device="cpu")
    found, numbers = out_of_fold(tmp_path, sized), fold_numbers(folded, sized)
    assert len(found) == 2 * 29
    assert numbers[7] == -1
    for target in TARGETS:
        part = found.select(found.table["target"] == target)
        ids = part.table["object_id"].tolist()
        assert sorted(ids) == sorted(sized.object_ids[numbers >= 0])
        of = dict(zip(sized.object_ids.tolist(), numbers.tolist(), strict=True))
        assert [of[one] for one in ids] == part.table["fold"].tolist()
    labels = sized.labels
    for fold in range(3):
        kinds = labels[numbers == fold]
        assert abs(np.sum(kinds == "point source") - np.sum(kinds == "low-z cluster")) <= 1, "stratify_by"
    with pytest.raises(InputError, match="must have the objects, labels and folds"):
        sized.catalogue["level"][0] += 1
        out_of_fold(tmp_path, sized)


def test_the_loss_is_the_normal_likelihood_weighted_by_a_constant(sized, numbers):
    rng = np.random.default_rng(0)
    outputs = torch.tensor(rng.normal(0, 1, (6, 4)), requires_grad=True)
    wanted = torch.tensor(rng.normal(0, 1, (6, 2)))
    minimised, likelihood, squares = gaussian_losses(outputs, wanted)
    mean, width = outputs.detach()[:, :2], outputs.detach()[:, 2:].exp()
    terms = -norm.logpdf(wanted, mean, width)
    assert likelihood.item() == pytest.approx(terms.mean())
    assert squares.item() == pytest.approx(((mean - wanted) ** 2).mean(1).sum().item())
    minimised.backward()
    pulls = ((mean - wanted) / width**2 * width).numpy() / 12  # beta = 0.5 leaves one power of the width
    np.testing.assert_allclose(outputs.grad[:, :2], pulls, rtol=1e-5)
    far = torch.tensor([[0.0, 900.0], [0.0, -900.0]])
    assert all(torch.isfinite(one).all() for one in mean_and_variance(far))


def test_views_are_taken_together_and_units_are_the_models(sized, numbers, tmp_path):
    fitted = train(numbers, sized, run=tmp_path, device="cpu")
    one, several = predict(fitted, sized), predict(fitted, sized, views=4)
    assert not np.array_equal(one.predicted, several.predicted)
    assert np.array_equal(several.width, predict(fitted, sized, views=4).width)
    sized.catalogue["size"] = sized.catalogue["size"].to(u.pc)
    np.testing.assert_allclose(predict(fitted, sized).true, one.true)
    sized.catalogue["size"] = sized.catalogue["size"].value * u.keV
    with pytest.raises(InputError, match="'size' must be convertible to kpc, got the unit keV"):
        predict(fitted, sized)
    del sized.catalogue["size"]
    unknown = predict(fitted, sized)
    assert np.array_equal(unknown.predicted, one.predicted)
    assert np.isnan(unknown.true[:30]).all()
    assert len(unknown.known) == 30


def test_what_cannot_be_learned_is_refused_before_training(sized, numbers, folded, tmp_path):
    def refused(message, experiment=numbers, **columns):
        changed = sized.select(slice(0, 30))
        for name, values in columns.items():
            changed.catalogue[name] = values
        with pytest.raises(InputError, match=message):
            train(experiment, changed, run=tmp_path / "run", device="cpu")
        assert not (tmp_path / "run").exists()

    good = np.linspace(1, 2, 30)
    other = numbers.changed(targets="log age")
    refused("must have a column 'age' with the numbers of target 'log age'", other)
    refused("column 'level' must hold numbers, got 'bright' in row 1", level=["bright"] * 30)
    refused(
        "'size' must be above zero, as .* got 2 objects .* first 'B003': 0.0",
        size=good * ~np.isin(np.arange(30), (3, 9)),
    )
    infinite = np.where(np.arange(30) == 2, np.inf, good)
    refused("'level' must be finite, got 1 objects .* first 'B002': inf", level=infinite)
    refused(
        "target 'level' must differ between the training objects, got 0.1 for all 20", level=np.full(30, 0.1)
    )
    refused("split 'train' must have objects with known targets", level=np.full(30, np.nan))
    few = np.where(np.arange(30) < 2, good, np.nan)
    refused("each of 3 folds must have objects with known targets, got none", folded, level=few)


def test_a_model_of_numbers_has_no_classes(sized, numbers, quick, tmp_path):
    train(numbers, sized, run=tmp_path, device="cpu")
    model = find_models(tmp_path)[0]
    with pytest.raises(InputError, match="one of classes, got 'numbers', which learns numbers: .'log size'"):
        class_activation(model, sized)
    train(quick, sized, run=tmp_path, device="cpu")
    with pytest.raises(InputError, match="must have the same classes, or all be of numbers, to be joined"):
        predict(tmp_path, sized)
    assert len(predict(tmp_path, sized, experiment="numbers")) == 60

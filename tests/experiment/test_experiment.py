import pytest

from labkit.errors import InputError, MissingDataError
from labkit.experiment import PRESETS, SGD, Augmentation, Experiment, preset
from labkit.predictions import Run


def test_presets_follow_table_4():
    custom, mobile = PRESETS["CN-E"], PRESETS["MN-E"]
    assert custom.bands == ("empty", "xray", "optical")
    assert (custom.batch_size, custom.image_size, custom.optimiser.kind) == (10, 356, "sgd")
    assert (mobile.batch_size, mobile.image_size, mobile.optimiser.kind) == (20, 224, "adadelta")
    for p, iterations in ((custom, 153_000), (mobile, 3_825)):
        assert p.epochs * (1233 / p.batch_size) == pytest.approx(iterations, rel=0.002)
    assert custom.optimiser == SGD(learning_rate=1e-4, momentum=0.9, decay=1e-6, plateau_patience=14)
    assert custom.augmentation == Augmentation(scale=1.3, rotation_deg=360, shift_px=4)


def test_as_released_differs_from_as_printed_in_what_the_script_does():
    printed, released = (PRESETS[name].model_dump() for name in ("CN-E", "CN-E as released"))
    assert {name for name in printed if printed[name] != released[name]} == {
        "name", "augmentation", "optimiser", "plateau_monitor", "validated_on", "dropout", "epochs",
    }  # fmt: skip
    assert released["optimiser"] == printed["optimiser"] | {"minimal_learning_rate": 1e-5}
    assert released["augmentation"] == printed["augmentation"] | {"one_shift": True, "corners": "black"}


def test_json_round_trip(tmp_path):
    experiment = preset("MN-E", seeds=(3, 5), augmentation=None)
    assert Experiment.load(experiment.save(tmp_path / "deep" / "e.json")) == experiment


def test_digest_ignores_name_and_seeds_only():
    base = preset("CN-E")
    assert base.changed(name="other", seeds=(4,)).digest == base.digest
    assert base.changed(batch_size=11).digest != base.digest
    assert base.changed(optimiser=SGD(learning_rate=1e-3)).digest != base.digest


def test_every_other_field_changes_the_digest():
    base = preset("CN-E")
    for change in (
        {"label_column": "volunteer_label"},
        {"split_column": "volunteer_split"},
        {"soft_labels": True},
        {"folds": 10},
        {"targets": "ne", "batches": "shuffled", "plateau_monitor": "validation_loss"},
    ):
        assert base.changed(**change).digest != base.digest
    ten = base.changed(folds=10)
    changes = {"fold_seed": 1, "stratify_by": "host", "group_by": "host", "fold_splits": ("train",)}
    for change in ({name: value} for name, value in changes.items()):
        assert ten.changed(**change).digest != ten.digest


def test_numbers_have_a_mean_and_a_width_and_no_classes():
    classes = preset("CN-E")
    numbers = classes.changed(targets="ne", batches="shuffled", plateau_monitor="validation_loss")
    assert numbers.targets == ("ne",)
    assert (classes.kind, classes.outputs, numbers.kind, numbers.outputs) == ("binary", 2, "numbers", 2)
    assert numbers.changed(targets=("ne", "log kt")).outputs == 4
    with pytest.raises(
        InputError, match="experiment must be one of classes, got 'CN-E', which learns numbers"
    ):
        _ = numbers.class_scheme


def test_runs_go_by_seed_then_fold():
    experiment = preset("CN-E", seeds=(4, 2))
    assert experiment.runs == (Run("CN-E", 4, -1), Run("CN-E", 2, -1))
    folded = [(run.seed, run.fold) for run in experiment.changed(folds=3).runs]
    assert folded == [(4, 0), (4, 1), (4, 2), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 2}, r"folds: .*at least 3 \(test, validation, train\), got 2"),
        ({"validation_share": 0.1}, "folds: .*at least 2 with a validation_share.*got 0"),
        ({"augmentation": {"kind": "turns"}}, "augmentation.*'right angles', got 'turns'"),
        ({"augmentation": {"kind": "right angles", "share": 0}}, "share: .*greater than 0"),
        ({"folds": -1}, "folds: .*greater than or equal to 0"),
        (
            {"targets": ("ne", "ne")},
            "targets: .*must name different columns, each as 'column' or 'log column'",
        ),
        ({"targets": "log "}, "targets: .*must name different columns"),
        (
            {"targets": "ne"},
            "batches: .*'shuffled' with targets.*plateau_monitor: .*'validation_loss' with tar",
        ),
        ({"targets": "ne", "soft_labels": True}, "soft_labels: .*must be False with targets"),
        ({"stratify_by": "host"}, "stratify_by: .*only with folds of at least 3, got 'host'"),
        ({"group_by": "host"}, "group_by: .*only with folds of at least 3, got 'host'"),
        ({"folds": 3, "stratify_by": "a", "group_by": "a"}, "group_by: .*another column than stratify_by"),
        ({"label_column": ""}, "label_column: "),
        ({"epoch": 3}, "epoch is not a field of Experiment; fields: name, classes"),
        ({"optimiser": {"kind": "sgd", "lr": 1}}, "lr is not a field of SGD"),
        ({"optimiser": {"kind": "lion"}}, "optimiser: .*lion"),
        ({"bands": ("xray", "xray")}, "bands: .*each band once"),
        ({"bands": ("empty",)}, "bands: .*at least one"),
        ({"scheme": "ternary"}, "scheme: .*must be one of"),
        ({"classes": ["lens"]}, r"scheme: .*classes must be two or more different names, got \('lens',\)"),
        ({"classes": ["lens", "lens"]}, "two or more different names"),
        ({"classes": ["lens", "galaxy"]}, "positive must name the one of .* that counts as a detection"),
        ({"classes": ["a", "b"], "positive": "c"}, r"must use the classes \('a', 'b'\), got \['c'\]"),
        ({"classes": ["a", "b", "c"], "merge": {"d": "e"}}, r"must use the classes .*, got \['e'\]"),
        ({"classes": ["a", "b", "c"], "left_out": ["a"]}, r"merged or left out, got \['a'\] more than once"),
        ({"classes": ["a", "b", "c"], "targets": ["z"]}, "targets: .*must not stand beside classes"),
        ({"positive": "cluster"}, "positive: .*takes effect only with classes of one's own"),
        ({"merge": {"a": "cluster"}}, "merge: .*takes effect only with classes"),
        ({"left_out": ["a"]}, "left_out: .*takes effect only with classes"),
        ({"network": "resnet"}, "network: .*'timm:<model name>'"),
        ({"seeds": (1, 1)}, "seeds: .*different numbers"),
        ({"dropout": 1.0}, "dropout: .*less than 1, got 1.0"),
        ({"augmentation": {"scale": 0.5}}, "augmentation.*got 0.5"),
    ],
)
def test_mistakes_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        Experiment(**{"name": "x"} | fields)


def test_classes_of_ones_own_merge_labels_and_leave_some_out(tmp_path):
    fields = {"classes": ["galaxy", "lens"], "positive": "lens", "left_out": ["artefact"]}
    own = preset("CN-E", merge={"spiral": "galaxy", "elliptical": "galaxy"}, **fields)
    scheme = own.class_scheme
    labels = ["lens", "spiral", "galaxy", "artefact", "", "elliptical"]
    assert scheme.encode(labels).tolist() == [1, 0, 0, -1, -1, 0]
    assert (scheme.classes, scheme.positive, own.scheme) == (("galaxy", "lens"), "lens", "galaxy+lens")
    with pytest.raises(InputError, match=r"'galaxy\+lens', got \['star'\].* or give classes of your own"):
        scheme.encode(["star"])
    assert Experiment.load(own.save(tmp_path / "own.json")) == own
    assert hash(own)
    pairs = (("elliptical", "galaxy"), ("spiral", "galaxy"))
    assert own.changed(merge=pairs).digest == own.digest
    assert own.changed(classes=("lens", "galaxy")).digest != own.digest
    assert own.changed(merge={}).digest != own.digest
    several = own.changed(classes=("galaxy", "lens", "ring system"), positive=None)
    assert several.scheme == "galaxy+lens+ring-system"
    assert several.class_scheme.positive is None


def test_loading_errors(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        Experiment.load(tmp_path / "no.json")
    for content, message in (("{", "must be JSON"), ("[1]", "must be a JSON object, got list")):
        (tmp_path / "e.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Experiment.load(tmp_path / "e.json")
    with pytest.raises(InputError, match="preset must be one of .*got 'CN-X'"):
        preset("CN-X")


def test_an_experiment_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        preset("CN-E").epochs = 3
    assert preset("CN-E").named_bands == ("xray", "optical")
    assert preset("CN-E").class_scheme.name == "binary"


def test_text_from_files_is_escaped():
    page = preset("CN-E").changed(name="<img src=x onerror=alert(1)>")._repr_html_()
    assert "<img" not in page
    assert preset("CN-E").as_text["bands"] == "empty, xray, optical"
    assert preset("CN-E").as_text["augmentation"].startswith("scale 1.3")
    assert "&lt;img src=x" in page

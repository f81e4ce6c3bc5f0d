"""Experiments declared in a file: what an entry means, and what its mistakes are called."""

from pathlib import Path

import pytest

from labkit.errors import InputError, MissingDataError
from labkit.evaluate import published
from labkit.experiment import PRESETS, SGD, AdamW, hyperparameters, preset, read_experiments

SHIPPED = Path(__file__).resolve().parents[2] / "notebooks" / "experiments"


@pytest.fixture
def write(tmp_path):
    """Write a file of experiments."""

    def written(text: str) -> Path:
        path = tmp_path / "e.toml"
        path.write_text(text)
        return path

    return written


def test_an_entry_starts_from_its_preset_then_defaults_then_its_own(write):
    path = write(
        """
        title = "some"
        [defaults]
        seeds = [0, 1]
        epochs = 3
        [[experiments]]
        preset = "CN-E"
        [[experiments]]
        preset = "CN-E"
        name = "longer"
        epochs = 9
        optimiser = { learning_rate = 1e-3 }
        [[experiments]]
        name = "own"
        bands = ["xray"]
        optimiser = { kind = "adamw" }
        """
    )
    first, longer, own = read_experiments(path)
    assert first == preset("CN-E", seeds=(0, 1), epochs=3)
    assert (longer.epochs, longer.optimiser) == (9, SGD(learning_rate=1e-3))
    assert (own.bands, own.optimiser, own.seeds) == (("xray",), AdamW(), (0, 1))


def test_another_kind_of_optimiser_takes_nothing_from_the_presets(write):
    path = write('[[experiments]]\npreset = "MN-E"\noptimiser = { kind = "sgd", learning_rate = 0.5 }')
    assert read_experiments(path)[0].optimiser == SGD(learning_rate=0.5)


def test_none_stands_for_nothing(write):
    text = '[[experiments]]\npreset = "CN-E"\n{}'
    assert read_experiments(write(text.format('augmentation = "none"')))[0].augmentation is None
    scaled = read_experiments(write(text.format("augmentation = { scale = 1.1 }")))[0].augmentation
    assert (scaled.scale, scaled.shift_px) == (1.1, 4.0)


def test_changes_and_choice(write):
    path = write('[[experiments]]\npreset = "CN-E"\n[[experiments]]\npreset = "MN-E"')
    chosen = read_experiments(path, only=["MN-E"], epochs=2, image_size=56)
    assert [(one.name, one.epochs, one.image_size) for one in chosen] == [("MN-E", 2, 56)]
    assert [one.name for one in read_experiments(path, only=["MN-E", "CN-E"])] == ["MN-E", "CN-E"]
    with pytest.raises(InputError, match="has no experiment 'MN-F'; did you mean 'MN-E'"):
        read_experiments(path, only=["MN-F"])
    with pytest.raises(InputError, match="'epoch' is not a field of an experiment; did you mean 'epochs'"):
        read_experiments(path, epoch=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "must be TOML"),
        ("a = " + "1" * 5000, "must be TOML"),
        ("", r"must have entries \[\[experiments\]\], got None"),
        ("experiments = 3", r"must have entries \[\[experiments\]\], got 3"),
        ('epochs = 3\n[[experiments]]\npreset = "CN-E"', r"got \['epochs'\]; put fields into \[defaults\]"),
        ('[defaults]\npreset = "CN-E"\n[[experiments]]', r"\[defaults\] must be fields but name and preset"),
        (
            '[[experiments]]\npreset = "cn-e no aug"',
            r"entry 1 \('cn-e no aug'\): preset must be one .* mean 'CN-E no augm.'",
        ),
        ("[[experiments]]\nepochs = 3", r"entry 1 \('without a name'\): name: Field required"),
        ('[[experiments]]\npreset = "CN-E"\nbatchsize = 3', r"'batchsize' is not .* mean 'batch_size'"),
        ('[[experiments]]\npreset = "CN-E"\nzzz = 3', "'zzz' is not a field .*; known: name, classes"),
        ('[[experiments]]\npreset = "CN-E"\n' * 2, r"names must differ, got \['CN-E'\] twice; give one"),
    ],
)
def test_mistakes_are_named(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_experiments(write(text))
    assert "e.toml" in str(caught.value)


def test_every_mistake_is_named_at_once(write):
    path = write('[[experiments]]\npreset = "CN-E"\nepochs = 0\n[[experiments]]\nname = "b"\nseed = [1]')
    with pytest.raises(InputError) as caught:
        read_experiments(path)
    assert "entry 1 ('CN-E'): epochs: Input should be greater than or equal to 1, got 0" in str(caught.value)
    assert "entry 2 ('b'): 'seed' is not a field of an experiment; did you mean 'seeds'?" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist; check the path"):
        read_experiments(tmp_path / "no.toml")


def test_the_shipped_protocol_is_the_papers():
    found = {one.name: one for one in read_experiments(SHIPPED / "kosiba2020.toml")}
    ten = tuple(range(10))
    papers = [name for name in PRESETS if PRESETS[name].scheme not in ("member", "cool-core")]
    for name in (name for name in papers if name not in ("VGG small images", "CN-E as released")):
        assert found[name] == preset(name, seeds=ten)
    others = {name: one for name, one in found.items() if name not in PRESETS}
    assert {one.scheme for name, one in others.items() if "five" in name} == {"five-class"}
    assert others["CN-E ten folds"] == preset("CN-E", folds=10).changed(name="CN-E ten folds")
    assert len(found["CN-E"].runs) == len(found["CN-E ten folds"].runs) == 10


def test_the_small_one_has_the_networks_of_tables_5_and_6_three_times():
    found = read_experiments(SHIPPED / "kosiba2020_small.toml")
    of_table_6 = {"CN grayscale": "CN-E", "MN grayscale": "MN-E"}
    assert {one.name for one in found} == {*list(PRESETS)[:8], *of_table_6, "CN-Z soft"}
    assert {one.seeds for one in found} == {(0, 1, 2)}
    for one in found:
        assert one.scheme == ("five-class" if one.name in of_table_6 else "binary")
        original = preset(of_table_6.get(one.name, one.name.removesuffix(" soft")))
        assert one.soft_labels == one.name.endswith(" soft")
        assert one.image_size == pytest.approx(original.image_size / 4)
        assert (one.bands, one.augmentation) == (original.bands, original.augmentation)
        assert not one.pretrained


def test_released_beside_printed_differ_in_one_thing_at_a_time():
    printed, *one_each, released = read_experiments(SHIPPED / "kosiba2020_released.toml")
    own, together = printed.model_dump(), {}
    for one in one_each:
        fields = one.model_dump()
        changed = {name: fields[name] for name in own if fields[name] != own[name] and name != "name"}
        assert len(changed) == (2 if "," in one.name else 1), one.name
        for name, value in changed.items():
            together[name] = together.get(name, {}) | _changes(own[name], value)
    fields = released.model_dump()
    assert together == {n: _changes(own[n], fields[n]) for n in own if fields[n] != own[n] and n != "name"}
    assert len({one.digest for one in (printed, *one_each, released)}) == len(one_each) + 2


def _changes(old, new):
    return {k: v for k, v in new.items() if old[k] != v} if isinstance(new, dict) else {"": new}


def test_the_members_experiments_are_the_papers():
    """Angora et al. (2020), section 4, appendix D: the set-ups are the same for the paper's network."""
    full, small = (
        {one.name: one for one in read_experiments(SHIPPED / f"angora2020{size}.toml")}
        for size in ("", "_small")
    )
    assert {one.network for name, one in full.items() if "Net" not in name and "Inc" not in name} == {"vgg"}
    assert {one.network for one in small.values()} == {"pyramid"}
    for name in (
        "mixed star",
        "mixed",
        "ACS",
        "ALL",
        "narrow",
        "intermediate",
        "large",
        "z1",
        "z5",
        "ACS, 3 of 10",
    ):
        assert full[name].bands == small[name].bands
        assert full[name].label_column == small[name].label_column
        assert full[name].split_column == small[name].split_column
    assert [len(full[name].bands) for name in ("mixed star", "mixed", "ACS", "ALL")] == [5, 5, 7, 12]
    assert full["large"].folds == small["large"].folds == 0
    assert full["mixed star"] == preset("VGG", label_column="label_mixed_star").changed(name="mixed star")


def test_the_presets_have_the_hyperparameters_of_table_4():
    printed, ours = published("kosiba2020", "table4"), hyperparameters(map(preset, ("CN-E", "MN-E")), 1233)
    assert printed.colnames == ours.colnames
    for name in set(ours.colnames) - {"experiment", "iterations"}:
        assert ours[name].tolist() == pytest.approx(printed[name].tolist(), nan_ok=True), name
    assert ours["iterations"].tolist() == pytest.approx(
        printed["iterations"].tolist(), rel=0.02
    )  # whole epochs


def test_questions_are_of_one_parameter():
    counts, rates, five, smaller = read_experiments(SHIPPED / "questions.toml")
    for first, second, asked in ((counts, rates, "bands"), (five, smaller, "image_size")):
        changed = {name for name, value in first if value != getattr(second, name)}
        assert changed == {"name", asked}

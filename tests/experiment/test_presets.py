"""The paper's networks by name: what they are, and that each can be built and takes a batch."""

import pytest
import torch

from labkit.evaluate import published
from labkit.experiment import EMPTY, PRESETS, RightAngles, preset
from labkit.images import normalise
from labkit.learn.networks import build_network
from labkit.sample import Sample

#: A size that every network takes, to spare time; Inception v3 needs 75 px.
SIZE = {"Inception v3": 75, "Inception": 75}
LARGE = ("VGG19", "Inception v3", "VGG", "Inception")
MEMBERS = ("VGG", "VGG small", "Pyramid", "ResNet-18", "Inception")


@pytest.mark.parametrize("name", PRESETS)
def test_each_builds_and_takes_a_batch(name):
    experiment = preset(name, pretrained=False, image_size=SIZE.get(name, 40))
    device = "meta" if name in LARGE else "cpu"  # shapes without numbers
    with torch.device(device), torch.inference_mode():
        network = build_network(experiment).eval()
        logits = network(torch.rand(2, len(experiment.named_bands), *2 * [experiment.image_size]))
    assert logits.shape == (2, len(experiment.class_scheme.classes))
    assert device == "meta" or torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "millions"), [("VGG19", 144), ("Inception v3", 23.8), ("MN-E", 4.2), ("CN-E", None)]
)
def test_networks_have_the_parameters_of_their_papers(name, millions):
    """Simonyan & Zisserman (2014, table 2) and Howard et al. (2017, table 8), with 1,000 classes; Table 3."""
    with torch.device("meta"):
        network = build_network(preset(name, pretrained=False))
    count = sum(p.numel() for p in network.parameters())
    if millions is None:
        assert count == 352_930
        return
    width = network[1].get_classifier().in_features
    assert count + 998 * (width + 1) == pytest.approx(millions * 1e6, rel=0.01)


def test_networks_for_members_follow_the_paper():
    """Angora et al. (2020), appendices A.1, A.2 and B."""
    for name in MEMBERS:
        one = preset(name)
        assert (one.scheme, one.batches, one.batch_size) == ("member", "shuffled", 64)
        assert (one.folds, one.stratify_by, one.validation_share) == (10, "cluster", 0.1)
        assert one.plateau_monitor == one.monitor == "validation_loss"
    assert preset("VGG").optimiser.kind == "adadelta"
    assert preset("VGG").augmentation == RightAngles(drawn="once", share=0.15)
    assert preset("VGG").image_size == 64


def test_the_network_for_cores_follows_the_paper():
    """Su et al. (2020): ResNet-18, 256 px, ten folds of 8/10, 1/10 and 1/10; the class sizes differ."""
    one = preset("ResNet-18 cores")
    assert (one.network, one.image_size, one.folds, one.validation_share) == ("timm:resnet18", 256, 10, 0)
    assert (one.scheme, one.bands, one.batches) == ("cool-core", ("xray",), "balanced")
    assert one.augmentation.scale == 1.0
    with torch.device("meta"):
        network = build_network(one)
    count = sum(p.numel() for p in network.parameters())
    assert count + 997 * 513 + 2 * 64 * 49 == 11_689_512  # torchvision's, of 1,000 classes and 3 channels


def test_the_eight_of_table_5_are_there():
    assert set(published("kosiba2020", "table5")["experiment"]) <= set(PRESETS)
    assert [preset(name).name for name in PRESETS] == list(PRESETS)


def test_the_volunteers_networks_differ_from_the_experts_in_their_labels_only():
    for kind in ("CN", "MN"):
        back = preset(f"{kind}-Z", label_column="label", split_column="split")
        assert back.changed(name=f"{kind}-E") == preset(f"{kind}-E")
        assert preset(f"{kind}-Z").label_column == "volunteer_label"
        assert preset(f"{kind}-Z").digest != preset(f"{kind}-E").digest


def test_six_channels_are_those_of_coloured_images(small_sample):
    colours = normalise(
        Sample(
            small_sample.images,
            small_sample.catalogue,
            bands=("xray", "optical"),
            pixel_scale=small_sample.pixel_scale,
        ),
        output="colour",
    )
    assert preset("CN-E six channels").bands == colours.bands


def test_mobilenets_other_colours():
    """Channels are red, green, blue; by default empty, X-ray, optical (sections 3.1 and 5.3)."""
    assert preset("MN-E").bands == (EMPTY, "xray", "optical")
    assert preset("MN-E x-ray green, optical red").bands == ("optical", "xray", EMPTY)
    assert preset("MN-E x-ray red, optical green").bands == ("xray", "optical", EMPTY)


def test_inputs_have_the_published_sizes():
    sizes = {name: preset(name).image_size for name in ("CN-E", "MN-E", "VGG19", "Inception v3")}
    assert sizes == {"CN-E": 356, "MN-E": 224, "VGG19": 224, "Inception v3": 299}


def test_a_mapping_changes_what_it_names():
    before, after = preset("CN-E"), preset("CN-E", optimiser={"learning_rate": 5e-5})
    assert after.optimiser.learning_rate == 5e-5 != before.optimiser.learning_rate
    assert after == before.changed(optimiser=before.optimiser.model_copy(update={"learning_rate": 5e-5}))
    assert after == before.changed(optimiser={"learning_rate": 5e-5})
    assert preset("CN-E", optimiser={"kind": "adamw"}).optimiser.kind == "adamw"

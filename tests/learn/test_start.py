"""Fine-tuning: what a network takes from another, what stays still, and what is recorded."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import timm
import torch
from pytorch_lightning.callbacks import Callback
from safetensors.torch import save as to_safetensors

from labkit.errors import InputError, MissingDataError
from labkit.experiment import SGD, Experiment, RightAngles
from labkit.learn import Model, predict, train
from labkit.learn.networks import build_network, layer_numbers, parts_of
from labkit.learn.start import begin_with, freeze, parameter_groups, read_start

NETWORKS = ("custom", "vgg-small", "pyramid", "timm:resnet18", "timm:mobilenetv1_100", "timm:convnext_atto")
#: Bands, classes and image size of the network to begin with, and of the one that begins.
SAME = {"bands": ("xray", "optical"), "image_size": 32}


def model_of(experiment, *, seed=5):
    """A model as after a training: drawn anew, on no Sample."""
    torch.manual_seed(seed)
    network = build_network(experiment).eval()
    facts = {"pixel_scale_arcsec": 4.0, "image_shape": (32, 32), "normalisation": None, "versions": {}}
    return Model(experiment=experiment, network=network, seed=seed, **facts)


def begun(experiment, before, *, seed=6):
    torch.manual_seed(seed)
    network = build_network(experiment.untrained)
    freeze(network, experiment)
    return network.eval(), begin_with(network, experiment, before)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_equal_network_takes_everything(name):
    before = model_of(Experiment(name="first", network=name, **SAME))
    network, record = begun(Experiment(name="second", network=name, start="there", **SAME), before)
    images = torch.rand(2, 2, 32, 32)
    torch.testing.assert_close(network(images), before.network(images))
    assert (record["adapted"], record["new"]) == ([], [])
    assert (record["experiment"], record["seed"], record["folder"]) == ("first", 5, "there")
    assert len(record["weights"]) == 64


@pytest.mark.parametrize("name", NETWORKS)
def test_other_classes_start_a_new_output_and_nothing_else(name):
    before = model_of(Experiment(name="first", network=name, **SAME))
    own = {"classes": ("non-cluster", "blend", "cluster")}
    network, record = begun(Experiment(name="x", network=name, start="s", **own, **SAME), before)
    given, (_, output) = before.network.state_dict(), parts_of(network)
    for key, value in network.state_dict().items():
        assert torch.equal(value, given[key]) != (key in output), key
    assert record["new"] == list(dict.fromkeys(one.removeprefix("1.").rpartition(".")[0] for one in output))
    renamed = Experiment(name="x", network=name, start="s", classes=("a", "b"), positive="b", **SAME)
    assert begun(renamed, before)[1]["new"] == record["new"], "as many classes, but not the same"


@pytest.mark.parametrize("name", NETWORKS)
def test_bands_keep_their_weights_by_name(name):
    """In another order the answer is the same; new bands that hold the old image give the old answer."""
    before = model_of(Experiment(name="first", network=name, **SAME))
    images = torch.rand(2, 2, 32, 32)
    turned = Experiment(name="x", network=name, start="s", bands=("optical", "xray"), image_size=32)
    network, record = begun(turned, before)
    torch.testing.assert_close(network(images.flip(1)), before.network(images), rtol=1e-4, atol=1e-5)
    assert len(record["adapted"]) == 1
    alike = images[:, :1].expand(-1, 2, -1, -1)
    for bands in (("F606",), ("F606", "F814", "F105")):
        network, _ = begun(turned.changed(bands=bands), before)
        same = images[:, :1].expand(-1, len(bands), -1, -1)
        torch.testing.assert_close(network(same), before.network(alike), rtol=1e-3, atol=1e-4)


def test_empty_channels_are_left_alone_and_another_size_starts_the_dense_layer_anew():
    before = model_of(Experiment(name="first", bands=("empty", "xray", "optical"), image_size=32))
    after = Experiment(name="x", bands=("xray", "empty"), image_size=200, start="s")
    network, record = begun(after, before)
    assert record["adapted"] == ["convolutions.0"]
    assert record["new"] == ["dense"]
    assert "output" in record["taken"]
    assert "dense" not in record["taken"]
    with pytest.raises(
        InputError, match=r"frozen must leave layers to learn .*, got -1 with \['dense'\] new"
    ):
        begun(after.changed(frozen=-1), before)
    torch.testing.assert_close(
        network.convolutions[0].weight[:, 0], before.network.convolutions[0].weight[:, 1]
    )


def test_what_does_not_fit_is_refused(tmp_path):
    first = model_of(Experiment(name="first", seeds=(5,), **SAME))
    for seed in (5, 6):
        first.save(tmp_path / "run" / "checkpoints" / f"first-seed{seed}")
    with pytest.raises(InputError, match="start must be the folder of one model, .* has .*'first, seed 5"):
        read_start(Experiment(name="x", start=str(tmp_path / "run"), **SAME))
    one = tmp_path / "run" / "checkpoints" / "first-seed5"
    with pytest.raises(InputError, match="start must be a model of the network 'vgg-small', got 'custom'"):
        read_start(Experiment(name="x", network="vgg-small", start=one, **SAME))
    with pytest.raises(MissingDataError, match="run must hold models"):
        read_start(Experiment(name="x", start=str(tmp_path / "gone"), **SAME))
    with pytest.raises(InputError, match="start: .*must not stand beside pretrained"):
        Experiment(name="x", network="mobilenet", pretrained=True, start="a")
    for field in ({"frozen": 1}, {"layer_decay": 0.5}):
        with pytest.raises(InputError, match="must stand beside a start or pretrained weights, got"):
            read_start(Experiment(name="x", **field))
    with pytest.raises(InputError, match="pretrained must be true for 'timm:hf_hub:a/b'"):
        read_start(Experiment(name="x", network="timm:hf_hub:a/b"))
    for frozen in (8, 9):
        with pytest.raises(
            InputError, match=f"a layer to train of the 8 of 'custom', got {frozen}; give 1 to 7"
        ):
            freeze(first.network, Experiment(name="x", start="s", frozen=frozen, **SAME))


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_go_from_the_input_to_the_output(name):
    experiment = Experiment(name="x", network=name, start="s", layer_decay=0.5, **SAME)
    network = build_network(experiment.untrained)
    numbers, (first, output) = layer_numbers(network), parts_of(network)
    assert set(numbers) == {key for key, _ in network.named_parameters()}
    assert numbers[first] == 0
    assert {numbers[key] for key in output} == {max(numbers.values())}
    groups = parameter_groups(network, experiment)
    assert [group["lr_scale"] for group in groups] == [0.5**n for n in range(len(groups))][::-1]
    frozen = freeze(network, experiment.changed(frozen=-1))
    assert {id(p) for p in network.parameters() if p.requires_grad} == {
        id(p) for key, p in network.named_parameters() if numbers[key] == max(numbers.values())
    }
    assert frozen


class Rates(Callback):
    """Notes the learning rates of the first batch."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]


def test_a_training_starts_from_another_keeps_frozen_layers_and_says_so(sample, tmp_path, same_weights):
    settings = {"network": "timm:resnet18", "bands": ("xray", "optical"), "image_size": 32, "batch_size": 8}
    settings |= {"optimiser": SGD(learning_rate=0.01, minimal_learning_rate=0.001), "precision": "fp32"}
    first = Experiment(name="first", epochs=2, augmentation=RightAngles(drawn="every epoch"), **settings)
    before = train(first, sample, run=tmp_path / "one", device="cpu", progress=False)
    rates = Rates()
    tuned = first.changed(name="tuned", frozen=3, layer_decay=0.5, epochs=1)
    fitted = train(tuned, sample, run=tmp_path / "two", start=before.folder, device="cpu", progress=False,
                   callbacks=(rates,))  # fmt: skip
    old, new = before.model.network.state_dict(), fitted.model.network.state_dict()
    numbers = layer_numbers(fitted.model.network)
    still = {key.rpartition(".")[0] for key, number in numbers.items() if number < 3}
    for key, value in new.items():
        kept = key.rpartition(".")[0] in still
        assert torch.equal(value, old[key]) == kept, key
    np.testing.assert_allclose(np.divide(rates.rates[:-1], rates.rates[1:]), 0.5)
    record = Model.load(fitted.folder).started_from
    assert record["folder"] == str(before.folder)
    assert record["new"] == []
    assert repr(fitted).startswith("Fitted('tuned', seed=0, epoch 1 of 1 was best, folder=")
    assert predict(Model.load(fitted.folder), sample).score == pytest.approx(predict(fitted, sample).score)
    again = train(tuned, sample, run=tmp_path / "two", start=before, device="cpu", progress=False)
    assert same_weights(again, fitted)
    other = train(first.changed(name="other", epochs=1, seeds=(9,)), sample, run=tmp_path / "one",
                  device="cpu", progress=False)  # fmt: skip
    with pytest.raises(InputError, match="holds one with another start"):
        train(tuned, sample, run=tmp_path / "two", start=other.folder, device="cpu", progress=False)
    with pytest.raises(InputError, match="holds one with another .*start"):
        train(first.changed(name="tuned"), sample, run=tmp_path / "two", device="cpu", progress=False)


def test_a_killed_fine_tuning_resumes_bit_for_bit(sample, quick, tmp_path, same_weights):
    before = train(quick.changed(name="first"), sample, run=tmp_path, device="cpu", progress=False)
    tuned = quick.changed(start=before.folder, frozen=2, layer_decay=0.7)
    whole = train(tuned, sample, run=tmp_path / "whole", device="cpu", progress=False)

    class Stop(Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.current_epoch == 1:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train(tuned, sample, run=tmp_path, device="cpu", progress=False, callbacks=(Stop(),))
    resumed = train(tuned, sample, run=tmp_path, device="cpu", progress=False)
    assert same_weights(resumed, whole)
    assert resumed.history == whole.history


HUB = """
import json, sys, torch, labkit as lab
from labkit.errors import InputError
from labkit.learn.networks import build_network
experiment = lab.Experiment(name="z", network="timm:hf_hub:astronomer/encoder", pretrained=True,
                            bands=tuple(sys.argv[1].split(",")), image_size=32)
try:
    network = build_network(experiment).eval()
except InputError as error:
    print(str(error))
else:
    inner = network[1]
    weights = inner.stem[0].weight, inner.stages[0].blocks[0].conv_dw.weight
    outputs = network(torch.ones(1, len(experiment.bands), 32, 32)).shape[1]
    print(json.dumps([outputs, *(float(one.detach().sum()) for one in weights)]))
"""


@pytest.fixture(scope="module")
def encoder():
    """What a hub holds of an encoder in greyscale: its configuration and its weights."""
    torch.manual_seed(1)
    network = timm.create_model("convnext_atto", num_classes=0, in_chans=1)
    config = {"architecture": "convnext_atto", "num_classes": 0, "model_args": {"in_chans": 1}}
    config["pretrained_cfg"] = {
        "input_size": [1, 64, 64], "first_conv": "stem.0", "classifier": "head.fc", "num_classes": 0
    }  # fmt: skip
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    return network, {"config.json": json.dumps(config).encode(), "model.safetensors": to_safetensors(weights)}


@pytest.fixture
def hub(encoder):
    """A hub on this machine that holds the encoder."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            content = encoder[1].get(self.path.rpartition("/")[2])
            found = self.path.startswith("/astronomer/encoder/resolve/main/") and content is not None
            self.send_response(200 if found else 404)
            if found:
                self.send_header("ETag", f'"{len(content)}"')
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("Content-Length", str(len(content)))
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return content if found else b""

        def do_GET(self):
            self.wfile.write(self.do_HEAD())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def from_hub(address, home, *bands):
    """What a fresh process makes of the encoder."""
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run([sys.executable, "-c", HUB, ",".join(bands)], capture_output=True, text=True,
                          env=os.environ | settings, check=True)  # fmt: skip
    return done.stdout.strip().splitlines()[-1]


def test_encoders_of_the_hub_pass_through_timm(encoder, hub, tmp_path):
    network, _ = encoder
    outputs, first, deep = json.loads(from_hub(hub, tmp_path, "F814"))
    assert outputs == 2
    assert first == pytest.approx(float(network.stem[0].weight.detach().sum()), rel=1e-4)
    assert deep == pytest.approx(float(network.stages[0].blocks[0].conv_dw.weight.detach().sum()), rel=1e-4)
    colour = json.loads(from_hub(hub, tmp_path, "g", "r", "i"))
    assert (colour[0], colour[2]) == (2, deep)
    assert json.loads(from_hub("http://127.0.0.1:9", tmp_path, "F814")) == [outputs, first, deep], "cached"


def test_without_a_connection_the_hub_is_named(tmp_path):
    said = from_hub("http://127.0.0.1:9", tmp_path, "F814")
    assert said.startswith("network 'astronomer/encoder' could not be had from the Hugging Face hub (")
    assert "HF_HOME" in said


def test_a_trained_network_of_the_hub_needs_no_hub(sample, tmp_path, monkeypatch):
    """A model keeps what the network is in timm."""
    kept = {"model": "convnext_atto", "arguments": {}}
    monkeypatch.setattr("labkit.learn.model.hub_architecture", lambda network: kept)
    experiment = Experiment(name="z", network="timm:hf_hub:a/b", pretrained=True, **SAME)
    network = build_network(experiment.untrained, architecture=kept)
    one = Model.of(experiment, network, sample, seed=0)
    images = torch.rand(1, 2, 32, 32)
    again = Model.load(one.save(tmp_path / "model"))
    torch.testing.assert_close(again.network(images), network.eval()(images))

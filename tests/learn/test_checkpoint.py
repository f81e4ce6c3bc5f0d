"""Checkpoints come back as they were, run no code, and are refused when damaged or changed."""

import json
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from labkit.errors import InputError, MissingDataError
from labkit.learn.checkpoint import read_about, read_state, write_state
from labkit.learn.fit import SafeCheckpointIO

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
states = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=30, deadline=None)
@given(state=st.dictionaries(st.text(max_size=4), states, max_size=4))
def test_any_plain_state_comes_back(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "a.safetensors"
    assert read_state(write_state(path, state)) == state


def test_tensors_come_back_bit_for_bit(tmp_path):
    shared = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    state = {
        "a": shared,
        "b": [shared, {1: torch.tensor(3), "half": torch.randn(3).bfloat16()}],
        "none": torch.empty(0),
    }
    got = read_state(write_state(tmp_path / "a.safetensors", state))
    assert torch.equal(got["a"], shared)
    assert torch.equal(got["b"][0], shared)
    assert got["b"][1][1].item() == 3
    assert torch.equal(got["b"][1]["half"], state["b"][1]["half"])
    assert got["none"].shape == (0,)


def test_the_file_is_safetensors_and_no_pickle(tmp_path):
    io, path = SafeCheckpointIO(), tmp_path / "a.safetensors"
    io.save_checkpoint({"state_dict": {"w": torch.ones(2)}, "labkit": {"finished": True}}, path)
    assert load_file(path)["0"].tolist() == [1, 1]
    assert read_about(path) == {"finished": True}
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(path.read_bytes())
    io.remove_checkpoint(path)
    assert not path.exists()


def test_objects_are_refused_with_their_place(tmp_path):
    with pytest.raises(InputError, match=r"state\['a'\]\[1\] must be a number.*got <class 'object'>"):
        write_state(tmp_path / "a.safetensors", {"a": [1, object()]})
    assert not list(tmp_path.iterdir())


def rewrite(path, *, tensors=None, **header):
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    save_file(tensors or load_file(path), path, metadata=old | header)


def test_changed_tensors_and_structure_are_refused(tmp_path):
    path = write_state(tmp_path / "a.safetensors", {"w": torch.ones(2), "n": 1})
    rewrite(path, tensors={"0": torch.tensor([1.0, 2.0])})
    with pytest.raises(InputError, match="must be as it was written, but its digest differs"):
        read_state(path)
    path = write_state(path, {"w": torch.ones(2), "n": 1})
    rewrite(path, structure=json.dumps({"$dict": [["n", 2]]}))
    with pytest.raises(InputError, match="its digest differs"):
        read_state(path)


def test_damaged_foreign_and_missing_files_are_refused(tmp_path):
    path = write_state(tmp_path / "a.safetensors", {"w": torch.ones(200)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="must be a whole safetensors file"):
        read_state(path)
    save_file({"w": torch.ones(1)}, path)
    with pytest.raises(InputError, match="must have the format labkit-state-1, got None"):
        read_state(path)
    with pytest.raises(MissingDataError, match="does not exist; check the path or train first"):
        read_about(tmp_path / "none.safetensors")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_state(tmp_path / "a.safetensors", {"n": 1})

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labkit.learn.checkpoint.save_file", full)
    with pytest.raises(InputError, match="the disk is full while writing"):
        write_state(path, {"n": 2})
    assert read_state(path) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]

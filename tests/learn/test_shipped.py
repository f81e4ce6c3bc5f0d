"""The models that ship with labkit load, know clusters, say what they are good for, and are in the wheel."""

import subprocess
import tomllib
from pathlib import Path

import pytest

import labkit
from labkit.errors import InputError, MissingDataError
from labkit.evaluate import auc, rank
from labkit.learn import find_models, model_card, model_table, predict, shipped_models
from labkit.predictions import mean_scores
from labkit.simulate import simulate_survey

PACKAGE = Path(labkit.__file__).parent
SHIPPED = {"xmm-xray": ("xray",), "xmm-xray-optical": ("xray", "optical")}


@pytest.fixture(scope="module")
def candidates():
    """Simulated candidates that no model was trained on."""
    made = simulate_survey(40014, n_objects=60)
    assert made.shape == (60, 2, 178, 178)
    return made


def test_three_small_models_of_each_kind_are_listed_without_their_weights():
    table = model_table()
    assert list(dict.fromkeys(table["models"].tolist())) == list(shipped_models()) == list(SHIPPED)
    for name, bands in SHIPPED.items():
        rows = table[table["models"] == name]
        assert rows["seed"].tolist() == [0, 1, 2]
        assert set(rows["bands"]) == {", ".join(bands)}
        assert set(rows["outputs"]) == {"non-cluster, cluster"}
    assert sum(file.stat().st_size for file in (PACKAGE / "learn" / "shipped").rglob("*")) < 8 * 2**20
    with pytest.raises(MissingDataError, match="or one of xmm-xray, xmm-xray-optical, got 'xmm'"):
        model_table("xmm")


@pytest.mark.parametrize(("name", "least"), [("xmm-xray", 0.65), ("xmm-xray-optical", 0.75)])
def test_a_name_predicts_as_a_run_folder_does_and_knows_clusters(name, least, candidates):
    predictions = predict(name, candidates, device="cpu")
    assert len(list(predictions.runs())) == 3
    found = mean_scores(predictions)
    assert auc(predictions.is_positive[found["row"]], found["mean"]) > least
    assert rank(predictions).meta["ranking"]["made"][0]["prevalence"] == 0.5
    same = predict(shipped_models()[name], candidates, device="cpu")
    assert same.score.tolist() == predictions.score.tolist()


def test_a_folder_of_the_name_comes_first(tmp_path, monkeypatch):
    (tmp_path / "xmm-xray").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDataError, match="got 'xmm-xray' with none; train them first.* xmm-xray"):
        find_models("xmm-xray")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_says_on_what_how_well_and_for_what(name):
    card, models = model_card(name), find_models(name)
    valid, measured = card["valid_for"], card["measured"]
    assert valid["pixel_scale_arcsec"] == pytest.approx(models[0].pixel_scale_arcsec, rel=1e-3)
    assert {one.telescope for one in models} == {valid["telescope"]} == {"XMM-Newton"}
    assert card["prevalence"] == models[0].experiment.prevalence == 0.5
    for key in (
        "energy_kev",
        "point_spread_fwhm_arcsec",
        "exposure_ks",
        "off_axis_arcmin",
        "counts_in_cutout",
    ):
        assert valid[key][0] < valid[key][1], key
    low, high = measured["auc_95"]
    assert 0.8 < low < measured["auc"] < high < 1
    assert card["trained_on"]["objects"] > 1000
    assert "simulated" in card["trained_on"]["images"]
    assert "simulated" in measured["on"]


def test_another_telescope_needs_consent(candidates):
    other = candidates.select(slice(0, 2))
    other.provenance["telescope"] = "Chandra"
    with pytest.raises(InputError, match="telescope must be XMM-Newton.*got images of Chandra"):
        predict("xmm-xray", other, device="cpu")


def test_the_wheel_holds_every_file_of_them():
    """hatchling takes what is in the package and git does not ignore."""
    declared = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert declared["targets"]["wheel"]["packages"] == ["labkit"]
    assert not {"exclude", "only-include"} & set(declared["targets"]["wheel"])
    files = [file for file in (PACKAGE / "learn" / "shipped").rglob("*") if file.is_file()]
    assert len(files) == 2 * (2 + 3 * 3)
    ignored = subprocess.run(
        ["git", "check-ignore", *files], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert (ignored.returncode, ignored.stdout) == (1, "")

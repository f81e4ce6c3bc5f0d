"""A release: whole, read without labkit, and each column explained."""

import ast
import io
import json
import subprocess
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.table import QTable
from scipy.special import expit

from labkit.errors import InputError
from labkit.evaluate import fit_calibration, fit_selection, operating_point, rank
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.release import write_release

RNG = np.random.default_rng


def predicted(rng: np.random.Generator, n: int, experiment: str) -> Predictions:
    """Probabilities that are too sure of themselves."""
    odds = rng.normal(0, 1.5, n)
    there = rng.random(n) < expit(odds)
    p, ids = expit(2 * odds), [f"{experiment}{row:03d}" for row in range(n)]
    return Predictions.from_arrays(
        ids, np.column_stack([1 - p, p]), classes=("non-cluster", "cluster"), positive="cluster",
        true=np.where(there, "cluster", "non-cluster"), experiment="net", split="test",
    )  # fmt: skip


@pytest.fixture(scope="module")
def injections() -> QTable:
    """600 clusters of three extents, the brighter the more often found."""
    rng, n = RNG(2), 600
    table = QTable({"flux": 10 ** rng.choice([-14.0, -13.5, -13, -12.5], n) * u.Unit("erg / (s cm2)")})
    table["extent"] = rng.choice([10.0, 20.0, 40.0], n) * u.arcsec
    table["off_axis"], table["exposure"] = rng.uniform(0, 12, n) * u.arcmin, rng.uniform(5e3, 1e4, n) * u.s
    table["background"] = rng.uniform(20, 40, n) * u.ct / u.arcmin**2
    table["distance"], table["copy"] = rng.uniform(0.5, 4, n) * u.arcmin, np.arange(n) % 40
    table["c1"] = rng.random(n) < expit(3 * (np.log10(table["flux"].value) + 13.2))
    table.meta |= {"area": 0.2, "injected": "simulated clusters into a test"}
    return table


@pytest.fixture(scope="module")
def parts(injections) -> dict:
    """What a release of 30 objects is made of."""
    rng = RNG(1)
    calibration = fit_calibration(predicted(rng, 400, "H"), rng=RNG(3))
    target = predicted(rng, 30, "T")
    point = operating_point(target, calibration, rng=RNG(4), purity=0.8)
    catalogue = QTable({"object_id": target.table["object_id"], "label": [""] * 30})
    catalogue["ra"], catalogue["dec"] = np.linspace(149, 150, 30) * u.deg, np.linspace(-11, -10, 30) * u.deg
    catalogue["extent"], catalogue["mine"] = rng.uniform(5, 30, 30) * u.arcsec, np.arange(30)
    images = rng.poisson(1.0, (30, 1, 16, 16)).astype(np.float32)
    about = {"source": "XMM-Newton observation of SIMULATED FIELD"}
    sample = Sample(images, catalogue, bands=("xray",), pixel_scale=4 * u.arcsec, provenance=about)
    return {
        "ranked": rank(target, catalogue, point=point), "point": point, "sample": sample,
        "title": "A test <catalogue>",
        "models": "xmm-xray", "calibration": calibration, "injections": injections,
        "selection": fit_selection(injections), "notes": {"domain": "AUC 0.52, p = 0.3"}, "cutouts": 7,
    }  # fmt: skip


@pytest.fixture(scope="module")
def release(parts, tmp_path_factory) -> Path:
    inputs = {"this file": Path(__file__)}
    return write_release(tmp_path_factory.mktemp("release") / "release", inputs=inputs, **parts)


def test_a_script_that_imports_astropy_and_numpy_reads_it_and_sees_damage(release):
    script = release / "read_release.py"
    nodes = [
        node
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    assert {name.split(".")[0] for name in names} <= {"astropy", "numpy", *sys.stdlib_module_names}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "30 objects" in done.stdout
    assert "cut-outs of 7 objects, bands xray, (16, 16) pixels" in done.stdout
    whole = (release / "purity.ecsv").read_text()
    (release / "purity.ecsv").write_text(whole.replace("purity", "parity"))
    broken = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    (release / "purity.ecsv").write_text(whole)
    assert broken.returncode == 1
    assert "purity.ecsv is damaged" in broken.stderr


def test_the_catalogue_explains_its_columns_in_both_formats_and_the_votable_is_valid(release, parts):
    found = QTable.read(release / "catalogue.fits")
    assert found["rank"].tolist() == list(range(1, 31))
    assert found["extent"].unit == u.arcsec
    header = fits.getheader(release / "catalogue.fits", 1)
    number = parts["ranked"].colnames.index("ra") + 1
    assert header[f"TUCD{number}"] == "pos.eq.ra;meta.main"
    table = votable.parse_single_table(release / "catalogue.vot")
    fields = {field.name: field for field in table.fields}
    assert fields["p_calibrated"].ucd == "stat.probability;meta.main"
    assert "Right ascension" in fields["ra"].description
    assert fields["mine"].ucd is None
    words = io.StringIO()
    assert votable.validate(release / "catalogue.vot", words)
    assert "E" not in [line[:1] for line in words.getvalue().splitlines()]


def test_numbers_of_the_release_follow_from_its_parts(release, parts, injections):
    purity = QTable.read(release / "purity.ecsv")
    point = parts["ranked"].meta["ranking"]["operating_point"]
    row = purity[purity["selected"] == int(point["selected"])]
    assert row["purity"][0] == pytest.approx(point["purity"], abs=1e-6)
    assert row["selected"][0] * (1 - row["purity"][0]) == pytest.approx(point["contaminants"], abs=1e-6)
    completeness = QTable.read(release / "completeness.ecsv")
    assert np.unique(completeness["extent"].value).tolist() == [10, 20, 40]
    assert (completeness["completeness"] <= 1).all()
    for extent in (10, 20, 40):
        assert np.corrcoef(np.log(completeness["flux"].value), completeness["completeness"])[0, 1] > 0.9, (
            extent
        )
    counted = QTable.read(release / "injections.ecsv")
    assert counted["clusters"].sum() == len(injections)
    with fits.open(release / "cutouts.fits") as file:
        best = parts["sample"].select(parts["ranked"]["object_id"][:7])
        assert np.array_equal(file["IMAGES"].data, best.images)
        assert file["OBJECTS"].data["object_id"].tolist() == best.object_ids.tolist()
    provenance = json.loads((release / "provenance.json").read_text())
    assert len(provenance["inputs"]["this file"]["sha256"]) == 64
    readme = (release / "README.md").read_text()
    assert "The images behind this catalogue are simulated" in readme
    assert "A test &lt;catalogue&gt;" in readme
    assert "AUC 0.52" in readme


def test_a_release_is_whole_or_not_at_all(release, parts, tmp_path):
    with pytest.raises(InputError, match="must not exist yet"):
        write_release(release, **parts)
    plain = parts["ranked"].copy()
    plain.meta = {}
    with pytest.raises(InputError, match="point must be that of the ranked catalogue"):
        write_release(tmp_path / "a", **(parts | {"ranked": plain}))
    fewer = parts["sample"].select(slice(3, 9))
    with pytest.raises(InputError, match="unknown ids"):
        write_release(tmp_path / "a", **(parts | {"sample": fewer}))
    assert not (tmp_path / "a").exists()

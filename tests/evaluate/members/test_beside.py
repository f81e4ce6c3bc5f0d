"""Published values in the rows they belong to, for every table of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate import as_text, published_table
from labkit.evaluate.members import beside, cluster_scores, configuration_table, error_shares
from labkit.predictions import Predictions


def published(number):
    return published_table(f"table{number}", paper="angora2020")


def measured(number, *, shift=0.01):
    """A published table as if it had been measured: shifted, and with endings of its own."""
    table = QTable(published(number))
    for name in table.colnames:
        if table[name].dtype.kind == "f" and not name.endswith("_std"):
            table[name] = table[name] + shift
            table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.02, table[name] + 0.02
    return table


@pytest.mark.parametrize("number", ["2", "3", "4", "D1", "D2", "D3", "D4", "D5"])
def test_every_table_is_joined_row_by_row_in_any_order(number):
    theirs, ours = published(number), measured(number)
    table = beside(ours[::-1], theirs, data="simulated")
    keys = [name for name in theirs.colnames if theirs[name].dtype.kind == "U"]
    for key in keys:
        assert table[key].tolist() == theirs[key].tolist()
    assert len(table.meta["measures"]) >= 6
    for name in table.meta["measures"][::2]:
        np.testing.assert_allclose(table[f"{name}_published"], theirs[name])
        if theirs[name].dtype.kind == "f":
            np.testing.assert_allclose(table[name], theirs[name] + 0.01)
            np.testing.assert_allclose(table[f"{name}_high"] - table[name], 0.02)
    assert table.meta["caption"] == theirs.meta["caption"]
    assert "simulated" in table.meta["note"]
    assert "note" not in beside(ours, theirs, data="real").meta


def test_measured_functions_have_the_published_keys():
    rng = np.random.default_rng(0)
    member, p = rng.random(60) < 0.5, rng.random(60)
    ids = [f"G{i}" for i in range(60)]
    found = Predictions.from_arrays(
        ids,
        np.column_stack([1 - p, p]),
        classes=("non-member", "member"),
        true=np.where(member, "member", "non-member"),
        experiment="x",
        split="test",
        positive="member",
    )
    first = beside(
        configuration_table({"mixed_star": found}, resamples=20), published("D1"), data="simulated"
    )
    row = first[(first["bands"] == "mixed*") & (first["class"] == "member")][0]
    assert row["f1_published"] == 0.874
    assert np.isfinite(row["f1_low"])
    assert np.isnan(first["f1"][0]), "mixed was published and not measured"
    assert first["objects"].mask.tolist() == [True] * 6 + [False] * 2
    catalogue = QTable({"object_id": ids, "cluster": ["M0416"] * 60})
    options = {"key": "method", "resamples": 0}
    fifth = beside(
        cluster_scores({"bayesian": found}, catalogue, **options),
        published("D5"),
        data="simulated",
        unmeasured="drop",
    )
    assert fifth["cluster"].tolist() == ["M0416", "all"], "what was not published follows"
    assert fifth["member_purity_published"][0] == 0.846
    assert np.isnan(fifth["member_purity_published"][1])
    text = as_text(first, measures=first.meta["measures"])
    assert text.colnames[-2:] == ["f1", "f1_published"]
    assert text["f1_published"][-2] == "0.874"
    assert text["f1"][-2].startswith(f"{row['f1']:.3f} [")


def test_parts_of_tables_3_and_4_have_known_names():
    parts = ["all", "magnitude < 25", "magnitude >= 25", "colour < -0.5", "colour < 0", "colour >= 0"]
    errors = {"part": parts, "members": [10] * 6, "fp": [2] * 6, "non_members": [12] * 6, "fn": [3] * 6}
    errors |= {f"share_{name}": [1.0] * 6 for name in ("members", "fp", "non_members", "fn")}
    errors |= {f"{name}_rate{end}": [0.1] * 6 for name in ("fp", "fn") for end in ("", "_low", "_high")}
    table = beside(error_shares(QTable(errors)), published("3"), data="simulated")
    assert len(table) == 12
    assert np.isfinite(table["error_rate"]).all()
    row = table[(table["selection"] == "F814 >= 25.0") & (table["population"] == "non-member")][0]
    assert row["error_rate_published"] == 0.95
    cuts = {"part": ["all", "magnitude < 25, colour >= -0.5"], "members": [10.0, 9.0], "purity": [0.8, 0.9]}
    fourth = beside(QTable(cuts), published("4"), data="simulated")
    assert fourth["true_members"].tolist() == [10, 9]
    assert fourth["true_members_published"].tolist() == [1187, 1100]
    assert fourth["purity_published"].tolist() == [0.879, 0.884]


def test_other_edges_of_bins_are_named():
    theirs = published("D3")
    ours = QTable({"redshift_bin": ["0.18-0.34", "0.34-0.37"], "efficiency": [0.8, 0.9]})
    names = dict(zip(ours["redshift_bin"], theirs["redshift_bin"], strict=False))
    table = beside(ours, theirs, data="simulated", names=names)
    assert table["efficiency"][:2].tolist() == [0.8, 0.9]
    assert table["efficiency_published_std"][1] == 0.012
    with pytest.raises(InputError, match=r"one row for each redshift_bin, got \('0.18-0.32',\) twice"):
        beside(ours, theirs, data="real", names=dict.fromkeys(ours["redshift_bin"], "0.18-0.32"))


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(InputError, match="data must be 'real' or 'simulated', got 'mixed'"):
        beside(measured("D1"), published("D1"), data="mixed")
    with pytest.raises(InputError, match="unmeasured must be 'keep' or 'drop', got 'hide'"):
        beside(measured("D1"), published("D1"), data="real", unmeasured="hide")
    with pytest.raises(
        InputError, match=r"must have rows and columns like the published table, .* got \['network'"
    ):
        beside(QTable({"network": ["x"], "f1": [0.1]}), published("D1"), data="real")

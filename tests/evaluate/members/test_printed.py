"""Tables as the paper prints them."""

from __future__ import annotations

import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate import published_table
from labkit.evaluate.members import as_printed, beside


def measured():
    return QTable({"cluster": ["A370"], "training": ["large"], "objects": [535], "efficiency": [0.882],
                   "efficiency_std": [0.012], "efficiency_low": [0.85], "efficiency_high": [0.91],
                   "purity": [0.8], "completeness": [1.0], "f1": [float("nan")]})  # fmt: skip


def test_measured_and_published_stand_in_per_cent_under_the_papers_abbreviations():
    both = beside(
        measured(), published_table("tableD4", paper="angora2020"), data="simulated", unmeasured="drop"
    )
    row = as_printed(both)[0]
    each = [f"{name}{end}" for name in ("AE", "pur", "compl", "F1") for end in ("", ", paper")]
    assert row.colnames == ["cluster", "training", *each]
    assert (row["AE"], row["AE, paper"]) == ("88.2 ± 1.2", "87.4 ± 0.3")
    assert (row["pur"], row["F1"]) == ("80.0", "undefined")


def test_what_was_not_published_is_a_dash():
    ours = measured()
    ours["cluster"] = ["M1206"]
    both = beside(ours, published_table("tableD4", paper="angora2020"), data="simulated", unmeasured="drop")
    assert as_printed(both)["AE, paper"].tolist() == ["–"]


def test_intervals_and_other_columns_are_shown_where_asked_for():
    one = as_printed(measured(), measures=["efficiency"], keep=["objects"], bounds=True)
    assert one.colnames == ["cluster", "training", "objects", "AE"]
    assert one["AE"][0] == "88.2 ± 1.2 [85.0, 91.0]"
    assert one["objects"][0] == 535
    assert measured()["efficiency"][0] == 0.882


def test_classes_are_told_apart():
    table = QTable({"bands": ["mixed"], "member_f1": [0.5], "non_member_f1": [0.75]})
    text = as_printed(table, measures=["member_f1", "non_member_f1"], digits=0)
    assert dict(zip(text.colnames, text[0], strict=True)) == {"bands": "mixed", "F1": "50", "F1, non": "75"}


def test_unknown_columns_and_no_measure_are_refused():
    with pytest.raises(InputError, match=r"must name columns, got none for \['auc', 'members'\]"):
        as_printed(measured(), measures=["auc"], keep=["members"])
    with pytest.raises(InputError, match="measures must name a column at least, got none"):
        as_printed(measured())

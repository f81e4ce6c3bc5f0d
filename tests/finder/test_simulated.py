"""The finder on simulated fields: candidates with what they are, each field searched once."""

from __future__ import annotations

import numpy as np

from labkit.finder import find_candidates, simulated
from labkit.finder.simulated import (
    LEAST_EXTENT,
    LEAST_LIKELIHOOD,
    as_observation,
    search_field,
    search_fields,
)
from labkit.simulate.found import draw_found_field


def test_candidates_of_a_field_are_those_of_the_finder_and_most_are_what_is_there():
    found = search_field(2020, 1)
    field = draw_found_field(2020, 1)
    catalogue = find_candidates(as_observation(field))
    extended = (catalogue["extent"].value > LEAST_EXTENT) & (
        catalogue["extension_likelihood"] > LEAST_LIKELIHOOD
    )
    assert sorted(found["extent"]) == sorted(catalogue["extent"][extended].value.astype(np.float32))
    assert set(found["field"]) == {1}
    for row in found:
        source = field.sources[row["source"]]
        if "cluster" in row["true_class"]:
            assert source.kind == "cluster"
            assert np.hypot(row["x"] - source.place[0], row["y"] - source.place[1]) < 1.0
    assert sum("cluster" in kind for kind in found["true_class"].tolist()) >= 2
    assert found["c1"].sum() >= 1


def test_fields_are_searched_once_and_joined_in_order(tmp_path, monkeypatch):
    searched = []

    def search(seed: int, number: int):
        searched.append(number)
        return table[:number]

    table = search_field(2020, 1)
    monkeypatch.setattr(simulated, "search_field", search)
    first = search_fields(tmp_path, 2020, [2, 0])
    assert (len(first), searched) == (2, [2, 0])  # a field without candidates is kept, too
    both = search_fields(tmp_path, 2020, [0, 1, 2])
    assert (len(both), searched) == (3, [2, 0, 1])
    assert both.colnames == table.colnames

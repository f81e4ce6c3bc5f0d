"""The finder on simulated fields: candidates with what they are, each field searched once."""

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.finder import find_candidates, simulated
from labkit.finder.simulated import as_observation, search_field, search_fields
from labkit.simulate.found import draw_found_field, read_recipe


def test_candidates_of_a_field_are_those_of_the_finder_and_most_are_what_is_there():
    everything = search_field(2020, 1)
    found, others = (everything[everything["candidate"] == yes] for yes in (True, False))
    field = draw_found_field(2020, 1)
    catalogue = find_candidates(as_observation(field))
    extended = (catalogue["extent"].value > 5) & (catalogue["extension_likelihood"] > 5)
    assert extended.tolist() == catalogue["candidate"].tolist()
    assert sorted(found["extent"]) == sorted(catalogue["extent"][extended].value.astype(np.float32))
    listed = ~extended & (catalogue["detection_likelihood"] > catalogue.meta["selection"]["listed"])
    brightness = np.sort(catalogue["counts"][listed].value.astype(np.float32))
    kept = np.sort(others["counts"])
    assert len(kept) == 4
    assert (kept[0], kept[-1]) == (brightness[0], brightness[-1])
    assert set(kept) <= set(brightness)
    assert set(everything["field"]) == {1}
    for row in found:
        source = field.sources[row["source"]]
        if "cluster" in row["true_class"]:
            assert source.kind.endswith("cluster")
            assert np.hypot(row["x"] - source.place[0], row["y"] - source.place[1]) < 1.0
    assert sum("cluster" in kind for kind in found["true_class"].tolist()) >= 2
    assert found["c1"].sum() >= 1


def test_fields_are_searched_once_joined_in_order_and_added_to(tmp_path, monkeypatch):
    searched, table = [], search_field(2020, 1)

    def search(seed: int, number: int):
        searched.append(number)
        if number == 2 and len(searched) == 3:
            raise KeyboardInterrupt
        return table[:number]  # a field without candidates is kept, too

    monkeypatch.setattr(simulated, "search_field", search)
    path = tmp_path / "found.parquet"
    with pytest.raises(KeyboardInterrupt):
        search_fields(path, 2020, 3)
    assert not path.exists()
    assert len(search_fields(path, 2020, 3)) == 3
    assert searched == [0, 1, 2, 2]
    assert len(search_fields(path, 2020, 2)) == 3
    more = search_fields(path, 2020, 4)
    assert (searched[4:], len(more)) == ([3], 6)
    read = read_recipe(path, listed=True)
    assert (read.meta["seed"], read.meta["fields"]) == (2020, 4)
    assert read["x"].tolist() == more["x"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["found.parquet"]
    with pytest.raises(InputError, match="seed must be that of"):
        search_fields(path, 2021, 5)
    with pytest.raises(InputError, match="must end in .parquet"):
        search_fields(tmp_path / "found.csv", 2020, 1)


@pytest.mark.parametrize("number", [3, 211])
def test_the_candidates_that_ship_are_found_again(number):
    recipe = read_recipe(listed=True)
    again, listed = search_field(recipe.meta["seed"], number), recipe[recipe["field"] == number]
    assert again["true_class"].tolist() == listed["true_class"].tolist()
    assert again["seen_as"].tolist() == listed["seen_as"].tolist()
    for name in ("x", "y", "extent", "counts", "significance"):
        assert np.asarray(again[name]) == pytest.approx(np.asarray(listed[name]), rel=0.01, abs=0.01), name


def test_the_candidates_that_ship_lie_where_sources_are():
    recipe = read_recipe()
    seen = recipe["true_class"] != "background fluctuation"
    assert (recipe["significance"][seen] >= 3).all()
    assert (
        recipe["share"][(recipe["true_class"] != "blend") & (recipe["true_class"] != "edge") & seen] >= 0.5
    ).all()
    clusters = np.char.endswith(recipe["true_class"].tolist(), "cluster")
    assert 0.3 < clusters.mean() < 0.7
    assert seen.mean() > 0.98

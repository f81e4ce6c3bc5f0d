import pytest

from labkit.errors import InputError
from labkit.evaluate import published_table
from labkit.evaluate.members import method_deltas

PUBLISHED = published_table("tableD5", paper="angora2020")


@pytest.mark.parametrize(
    ("cluster", "mean", "error"),
    [
        ("R2248", -0.0091, 0.0142),
        ("M0416", 0.0111, 0.0112),
        ("M1206", -0.0024, 0.0090),
        ("M1149", 0.0066, 0.0160),
    ],
)
def test_the_published_table_gives_its_own_mean_deltas(cluster, mean, error):
    table = method_deltas(PUBLISHED)
    last = table[(table["cluster"] == cluster) & (table["measure"] == "mean delta")]
    assert len(last) == 1
    assert last["delta"][0] == pytest.approx(mean, abs=2e-4)
    assert last["delta_error"][0] == pytest.approx(error, abs=2e-4)
    assert "objects" not in table.colnames


def test_one_method_has_nothing_to_be_compared_with():
    with pytest.raises(InputError, match=r"two methods in each cluster, got \['CNN'\] in R2248"):
        method_deltas(PUBLISHED[:1])

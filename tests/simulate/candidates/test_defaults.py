import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.simulate import KOSIBA_TABLE_2, field_files, simulate_survey, survey_at


def test_a_survey_is_simulated_once_and_again_when_the_numbers_change(tmp_path):
    options = {"counts": KOSIBA_TABLE_2.scaled(6), "size_px": 24}
    first = survey_at(tmp_path / "s", 1, **options)
    made = (tmp_path / "s" / "sample.json").stat().st_mtime_ns
    again = survey_at(tmp_path / "s", 1, **options)
    assert (tmp_path / "s" / "sample.json").stat().st_mtime_ns == made
    assert again.content_hash == first.content_hash
    other = survey_at(tmp_path / "s", 2, **options)
    assert other.content_hash != first.content_hash
    assert survey_at(tmp_path / "s", 2, counts=KOSIBA_TABLE_2.scaled(6), size_px=32).shape[-1] == 32


def test_a_sample_of_another_source_is_never_replaced(tmp_path):
    own = simulate_survey(3, n_objects=4, size_px=24)
    own.provenance["source"] = "XMM-Newton observation"
    own.save(tmp_path / "s")
    assert survey_at(tmp_path / "s", 1).content_hash == own.content_hash
    (tmp_path / "folder").mkdir()
    with pytest.raises(MissingDataError, match="must be the folder of a Sample"):
        survey_at(tmp_path / "folder", 1)


def test_field_files_hold_what_an_observer_has(tmp_path):
    images, exposures, candidates = field_files(tmp_path / "f", 4)
    assert [name.rsplit("/", 1)[1] for name in images] == [f"{c}_image.fits" for c in ("pn", "mos1", "mos2")]
    assert len(exposures) == 3
    listed = QTable.read(candidates)
    assert listed.colnames == ["ra", "dec"]
    assert 3 <= len(listed) < 200
    assert np.isfinite(listed["ra"]).all()
    with pytest.raises(InputError, match="least_counts must leave a candidate"):
        field_files(tmp_path / "f", 4, least_counts=1e9)

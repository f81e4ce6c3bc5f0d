import pytest

from labkit.errors import InputError
from labkit.taxonomy import BINARY, EXPERT_CLASSES, FIVE_CLASSES, LEFT_OUT, MEMBER, Scheme, get_scheme


def test_twelve_expert_classes_and_the_last_four_take_no_part():
    assert len(EXPERT_CLASSES) == 12
    assert LEFT_OUT == ("fossil group", "high background", "no optical image", "dubious")
    for scheme in (BINARY, FIVE_CLASSES):
        codes = scheme.encode(EXPERT_CLASSES)
        assert (codes[:8] >= 0).all()
        assert (codes[8:] == -1).all()


def test_binary_scheme_collects_both_kinds_of_cluster():
    names = BINARY.decode(BINARY.encode(EXPERT_CLASSES[:8]))
    assert names.tolist() == ["cluster"] * 2 + ["non-cluster"] * 6
    assert BINARY.positive == "cluster"


def test_five_class_scheme_follows_section_5_5():
    named = dict(zip(EXPERT_CLASSES, FIVE_CLASSES.decode(FIVE_CLASSES.encode(EXPERT_CLASSES)), strict=True))
    assert [c for c in EXPERT_CLASSES if named[c] == "point source"] == [
        "point source",
        "star or AGN",
        "double source",
    ]
    assert [c for c in EXPERT_CLASSES if named[c] == "other"] == ["artefact", "edge"]


def test_member_scheme_takes_its_classes_as_labels_and_no_others():
    assert get_scheme("member") is MEMBER
    assert MEMBER.decode(MEMBER.encode(["member", "non-member", ""])).tolist() == ["member", "non-member", ""]
    assert MEMBER.classes.index(MEMBER.positive) == 1
    with pytest.raises(InputError, match=r"labels must be known to the scheme 'member', got \['cluster'\]"):
        MEMBER.encode(["cluster"])


def test_unknown_and_empty_labels():
    assert BINARY.encode(["", "edge"]).tolist() == [-1, 0]
    with pytest.raises(InputError, match=r"labels must be known .*got \['quasar'\]"):
        BINARY.encode(["edge", "quasar"])


def test_schemes_are_checked_and_looked_up_by_name():
    assert get_scheme("five-class") is FIVE_CLASSES
    with pytest.raises(InputError, match="scheme must be one of .*got 'six'"):
        get_scheme("six")
    with pytest.raises(InputError, match=r"must use the classes \('a',\), got \['b'\]"):
        Scheme("broken", ("a",), {"x": "b"})

"""Weights by equation 1, and what is dropped before them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.votes import Answers, answer_counts, drop_logged_out, drop_repeats, weights


def by_hand(tree, rows):
    """C and Q of each user and question by counting in dictionaries."""
    votes = Counter((s, a) for _, s, way in rows for a in way)
    given, agreeing = Counter(), Counter()
    for user, subject, way in rows:
        for answer in way:
            question = tree.question_of[answer]
            rivals = [votes[subject, b] for b in np.flatnonzero(tree.question_of == question)]
            given[user, question] += 1
            agreeing[user, question] += votes[subject, answer] == max(rivals)
    return given, agreeing


@given(data=st.data())
def test_equation_1_by_hand(hunt, answers_of, classified, data):
    rows = data.draw(classified)
    result = weights(answers_of(hunt, rows))
    count, agreeing = by_hand(hunt, rows)
    for u, user in enumerate(result.users):
        for q in range(6):
            assert result.given[u, q] == count[user, q]
            assert result.agreeing[u, q] == agreeing[user, q]
    assert np.isnan(result.values[result.given == 0]).all()
    known = result.values[result.given > 0]
    assert ((known >= 0) & (known <= 1)).all()


@given(data=st.data(), seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(hunt, answers_of, classified, data, seed):
    rows = data.draw(classified)
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    one, two = weights(answers_of(hunt, rows)), weights(answers_of(hunt, shuffled))
    places = [list(two.users).index(user) for user in one.users]
    np.testing.assert_array_equal(one.values, two.values[places])


def test_one_question_is_worker_agreement_with_aggregate(yes_no, answers_of):
    """WAWA: the fraction of a worker's answers that equal the majority vote of the task."""
    votes = {"u": "yyn", "v": "yny", "w": "nyy", "x": "yyn", "y": "nny"}  # of subjects a, b, c
    code = {"y": 0, "n": 1}
    rows = [(user, s, (code[v],)) for user, text in votes.items() for s, v in zip("abc", text, strict=True)]
    majority = {"a": "y", "b": "y", "c": "y"}
    expected = {
        u: np.mean([v == majority[s] for s, v in zip("abc", t, strict=True)]) for u, t in votes.items()
    }
    result = weights(answers_of(yes_no, rows))
    assert dict(zip(result.users, result.values[:, 0], strict=True)) == pytest.approx(expected)
    assert expected["y"] == pytest.approx(1 / 3)


def test_a_lone_answer_agrees_with_itself(hunt, answers_of):
    result = weights(answers_of(hunt, [("a", "s", (0, 4))]))
    np.testing.assert_array_equal(result.values[0, :2], 1)
    assert np.isnan(result.values[0, 2:]).all()


def test_on_a_tie_both_agree_and_a_third_does_not(yes_no, answers_of):
    rows = [("a", "s", (0,)), ("b", "s", (1,)), ("c", "s", (0,)), ("d", "s", (1,)), ("e", "s", (2,))]
    np.testing.assert_array_equal(weights(answers_of(yes_no, rows)).values[:, 0], [1, 1, 1, 1, 0])


def test_unfinished_classifications_count_for_the_questions_they_answer(hunt, answers_of):
    rows = [("a", "s", (0, 3)), ("b", "s", (0, 4)), ("c", "s", (0, 4)), ("a", "t", (0, 4))]
    result = weights(answers_of(hunt, rows))
    np.testing.assert_array_equal(result.given[0, :3], [2, 2, 0])
    np.testing.assert_array_equal(result.values[0, :2], [1, 0.5])


def test_table_lists_those_who_answered(hunt, answers_of):
    answers = answers_of(hunt, [("a", "s", (1,)), ("b", "s", (0, 4))], logged_out=["a"])
    table = weights(drop_logged_out(answers)).table()
    assert list(table["user"]) == ["b"]
    assert table["answers"][0] == 2
    assert table["weight_T1"][0] == 1
    assert np.isnan(table["weight_T5"][0])


def test_counts_sum_to_the_answers(hunt, answers_of):
    counts = answer_counts(answers_of(hunt, [("a", "s", (1,)), ("b", "s", (0, 4)), ("b", "t", (1,))]))
    assert counts.sum() == 4
    assert counts[0, 1] == counts[0, 0] == counts[0, 4] == counts[1, 1] == 1


def test_a_volunteer_who_always_disagrees_weighs_nothing(yes_no, answers_of):
    rows = [(u, s, (0,)) for u in "abc" for s in "st"] + [("z", s, (1,)) for s in "st"]
    result = weights(answers_of(yes_no, rows))
    assert result.values[list(result.users).index("z"), 0] == 0


def test_first_of_repeats_by_time_and_finished_before_unfinished(hunt, answers_of):
    rows = [("a", "s", (1,)), ("a", "s", (2,)), ("a", "t", (0,)), ("a", "t", (2,))]
    rows += [("b", "s", (0,)), ("b", "s", (0,))]
    answers = answers_of(hunt, rows, order=[9, 1, 1, 5, 7, 6])
    kept = drop_repeats(answers)
    assert list(kept.order) == [1, 5, 6]
    assert list(kept.ending) == [2, 2, -1]
    assert list(kept.answer) == [2, 2, 0]
    assert len(drop_repeats(answers, keep="none")) == 0
    with pytest.raises(InputError, match="keep must be 'first' or 'none', got 'last'"):
        drop_repeats(answers, keep="last")


@given(data=st.data())
def test_dropping_repeats_leaves_one_of_each_pair(hunt, answers_of, classified, data):
    rows = data.draw(classified)
    answers = answers_of(hunt, rows)
    pairs = Counter((u, s) for u, s, _ in rows)
    kept = drop_repeats(answers)
    assert len(kept) == len(pairs)
    assert len(kept.answer) == sum(len(rows[i][2]) for i in kept.order)
    assert len(drop_repeats(kept)) == len(kept)
    assert len(drop_repeats(answers, keep="none")) == sum(n == 1 for n in pairs.values())


def test_answers_that_do_not_fit_together(hunt, answers_of):
    good = answers_of(hunt, [("a", "s", (1,)), ("b", "s", (0, 4))])
    columns = {name: getattr(good, name) for name in ("user", "subject", "logged_in", "order")}
    columns |= {"classification": good.classification, "answer": good.answer, "ending": good.ending}
    names = (good.tree, good.users, good.subjects)
    with pytest.raises(InputError, match="user, subject, ending, logged_in, order must have one same length"):
        Answers(*names, **columns | {"user": good.user[:1]})
    with pytest.raises(InputError, match="user must hold numbers from 0 to 1, got 0 to 2"):
        Answers(*names, **columns | {"user": np.array([0, 2])})
    with pytest.raises(InputError, match="ending must hold ending answers of the tree or -1"):
        Answers(*names, **columns | {"ending": np.array([0, 4])})
    with pytest.raises(InputError, match=r"keep must have the shape \(2,\), got \(3,\)"):
        good.take(np.ones(3, dtype=bool))
    assert repr(good) == "Answers(3 answers in 2 classifications, 1 subjects, 2 volunteers, tree 'hunt')"

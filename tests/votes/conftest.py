"""Trees and answers small enough to count by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import strategies as st

from labkit.votes import Answers, Choice, DecisionTree, Question, read_tree


@pytest.fixture(scope="session")
def hunt() -> DecisionTree:
    return read_tree("hunt")


@pytest.fixture(scope="session")
def yes_no() -> DecisionTree:
    """One question, three answers, two classes."""
    choices = (Choice("yes", leaf="yes", verdict="yes"), Choice("no", leaf="no", verdict="no"))
    choices += (Choice("never", leaf="never", verdict="no"),)
    return DecisionTree("yes-no", "Yes or no", ("no", "yes"), (Question("T0", "Is it?", choices),), "yes")


@pytest.fixture(scope="session")
def answers_of() -> Callable[..., Answers]:
    """Answers out of rows (user, subject, numbers of the answers on the way)."""

    def build(
        tree: DecisionTree,
        rows: Sequence[tuple[str, str, Sequence[int]]],
        *,
        logged_out: Sequence[str] = (),
        order: Sequence[int] | None = None,
    ) -> Answers:
        users = list(dict.fromkeys(user for user, _, _ in rows))
        subjects = list(dict.fromkeys(subject for _, subject, _ in rows))
        last = [way[-1] for _, _, way in rows]
        return Answers(
            tree,
            np.array(users, dtype=object),
            np.array(subjects, dtype=object),
            user=np.array([users.index(user) for user, _, _ in rows], dtype=np.int32),
            subject=np.array([subjects.index(subject) for _, subject, _ in rows], dtype=np.int32),
            ending=np.array([a if tree.verdict_of[a] >= 0 else -1 for a in last], dtype=np.int16),
            logged_in=np.array([user not in logged_out for user, _, _ in rows], dtype=bool),
            order=np.arange(len(rows)) if order is None else np.array(order),
            classification=np.repeat(np.arange(len(rows)), [len(way) for _, _, way in rows]).astype(np.int32),
            answer=np.array([a for _, _, way in rows for a in way], dtype=np.int16),
        )

    return build


@pytest.fixture(scope="session")
def classified() -> st.SearchStrategy:
    """Rows of volunteers who walk through the Hunt's tree, some of them not to its end."""
    ways = ((1,), (2,), (0, 3, 6), (0, 4), (0, 3, 5, 8, 10), (0, 3, 5, 9, 13), (0, 3), (0,))
    row = st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwx"), st.sampled_from(ways))
    return st.lists(row, min_size=1, max_size=40)

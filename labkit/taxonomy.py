"""Class schemes: how the labels that persons gave become the classes of a network's task.

A scheme leaves out the labels that its task does not use, so one Sample serves binary and multi-class
experiments.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType

import numpy as np

from labkit.errors import InputError, need_choice


@dataclass(frozen=True)
class Scheme:
    """A set of classes and the labels that belong to each.

    Parameters
    ----------
    name : str
        Name by which experiments refer to the scheme.
    classes : tuple of str
        Classes in the order of a network's outputs.
    mapping : mapping of str to str
        Class of each label that takes part.
    left_out : tuple of str
        Labels that are known but take no part.
    positive : str, optional
        The class that counts as a detection in a binary scheme.

    Raises
    ------
    InputError
        If the mapping or `positive` names a class that is not in `classes`.
    """

    name: str
    classes: tuple[str, ...]
    mapping: Mapping[str, str] = field(repr=False)
    left_out: tuple[str, ...] = field(default=(), repr=False)
    positive: str | None = None

    def __post_init__(self) -> None:
        named = {*self.mapping.values(), *([self.positive] if self.positive else [])}
        if unknown := sorted(named - set(self.classes)):
            raise InputError(f"mapping and positive must use the classes {self.classes}, got {unknown}")
        object.__setattr__(self, "mapping", MappingProxyType(dict(self.mapping)))

    def encode(self, labels: Iterable[str]) -> np.ndarray:
        """Class number of each label, int64, shape (n,): -1 where it is "" (unknown) or takes no part."""
        codes = {label: self.classes.index(name) for label, name in self.mapping.items()}
        codes |= dict.fromkeys(("", *self.left_out), -1)
        labels = [str(label) for label in labels]
        if unknown := sorted(set(labels) - set(codes)):
            raise InputError(
                f"labels must be known to the scheme {self.name!r}, got {unknown}; known: {sorted(codes)}; "
                "mend them, or give classes of your own, with merge= and left_out= for further labels"
            )
        return np.fromiter((codes[label] for label in labels), dtype=np.int64, count=len(labels))

    def decode(self, codes: Iterable[int]) -> np.ndarray:
        """Class name of each class number; the empty string for -1."""
        names = np.array([*self.classes, ""])
        return names[np.asarray(codes, dtype=np.int64)]


def _read_schemes() -> tuple[dict[str, Scheme], dict[str, list[str]]]:
    """Schemes and the experts' labels, from ``schemes.toml``."""
    text = (resources.files("labkit") / "schemes.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(text)
    schemes = {}
    for name, one in declared["schemes"].items():
        mapping = {label: cls for cls, labels in one["classes"].items() for label in (cls, *labels)}
        left_out = tuple(declared["experts"]["left_out"]) if one.get("experts", True) else ()
        schemes[name] = Scheme(name, tuple(one["classes"]), mapping, left_out, one.get("positive"))
    return schemes, declared["experts"]


_SCHEMES, _EXPERTS = _read_schemes()
SCHEMES: Mapping[str, Scheme] = MappingProxyType(_SCHEMES)
BINARY, FIVE_CLASSES, MEMBER = (SCHEMES[name] for name in ("binary", "five-class", "member"))
#: The answers that the X-CLASS experts could give, and those that no scheme uses.
EXPERT_CLASSES, LEFT_OUT = (tuple(_EXPERTS[name]) for name in ("labels", "left_out"))


def own_scheme(
    classes: Sequence[str], merge: Sequence[tuple[str, str]], left_out: Sequence[str], positive: str | None
) -> Scheme:
    """A scheme of classes of one's own, named after them, with pairs of a further label and its class.

    InputError if a name is empty or comes twice, a label has two places, or nothing says what is positive.
    """
    if len(set(classes)) < max(2, len(classes)) or "" in classes:
        raise InputError(f"classes must be two or more different names, got {tuple(classes)}")
    if len(classes) == 2 and positive is None:
        raise InputError(
            f"positive must name the one of {tuple(classes)} that counts as a detection, got None"
        )
    labels = [*classes, *(label for label, _ in merge), *left_out]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(f"a label must be a class, merged or left out, got {twice} more than once")
    name = "+".join(re.sub(r"[^A-Za-z0-9]+", "-", one).strip("-") for one in classes)
    mapping = {name: name for name in classes} | dict(merge)
    return Scheme(name, tuple(classes), mapping, tuple(left_out), positive)


def get_scheme(name: str) -> Scheme:
    """The scheme of that name."""
    need_choice("scheme", name, SCHEMES)
    return SCHEMES[name]

"""What goes wrong, in the words of the command line: options instead of Python's arguments."""

import ast
import inspect
import re
import textwrap
from contextlib import suppress
from typing import Any

_VALUE = r"""'[^']*'|"[^"]*"|\[[^]]*\]|\([^)]*\)|\{[^}]*\}|[\w.+-]*\w"""
_MARKS = r"""['"(){}[\]]|,\)$"""
_ASSIGNED = re.compile(rf"(?<![-\w.])(pass )?(\w+)=({_VALUE})?")
_RULE = re.compile(r"(^|[:;] )(\w+)(?=:? (?:must|belongs?|takes?|Input) )")
_QUANTITY = re.compile(r"(\d) \* u\.(\w+)(?: / u\.(\w+))?")


def spoken(message: str, verb: Any) -> str:
    """A function's message, with ``--size-px 64`` for ``size_px=64`` and 7 arcmin for ``7 * u.arcmin``.

    Arguments that are no option of the verb, such as fields of an experiment's file, stay as they are.
    """
    options = _options(verb)

    def option(found: re.Match[str]) -> str:
        asked, name, value = found.groups()
        if name not in options:
            return found[0]
        flag = value is None or getattr(options[name], "is_flag", False)
        value = "" if flag else f" {re.sub(_MARKS, '', value)}"
        return ("give " if asked else "") + _spelling(options[name]) + value

    def rule(found: re.Match[str]) -> str:
        start, name = found.groups()
        return start + (_spelling(options[name]) if name in options else name)

    message = _QUANTITY.sub(lambda found: f"{found[1]} {'/'.join(filter(None, found.groups()[1:]))}", message)
    return _RULE.sub(rule, _ASSIGNED.sub(option, message))


def _spelling(parameter: Any) -> str:
    """An option as it is typed, an argument as the help calls it."""
    typed = parameter.param_type_name == "option"
    return max(parameter.opts, key=len) if typed else parameter.name.upper()


def _options(verb: Any) -> dict[str, Any]:
    """A verb's parameters by name, and by the keywords that it hands them on by (``n_jobs=processes``)."""
    options = {one.name: one for one in verb.params}
    source = ""
    with suppress(OSError, TypeError):  # labkit without its source files
        source = textwrap.dedent(inspect.getsource(verb.callback))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg and node.arg not in options:
            used = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)} & set(options)
            if len(used) == 1:
                options[node.arg] = options[used.pop()]
    return options

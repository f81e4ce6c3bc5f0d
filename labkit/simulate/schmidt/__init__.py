"""Seen on photographic plates: the `telescope` with its emulsion, `scenes` in front of it, the `plates`."""

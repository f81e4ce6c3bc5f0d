"""Download one published file: cached, checked by its checksum, continued after a break.

`pooch` keeps the cache and checks the sum. It cannot continue a broken download, so the transfer
itself is done here: bytes go to ``<name>.partial`` in the cache folder, and the next attempt asks
the server only for the rest (HTTP ``Range``). A file takes its final name only when its sum is right.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests

from labkit.errors import InputError, MissingDataError
from labkit.sources.checksums import parse_checksum, zenodo_checksum

__all__ = ["Resume", "default_cache", "download"]

logger = logging.getLogger(__name__)

_BLOCK = 1 << 18


class Resume:
    """A downloader for `pooch.retrieve` that continues where a broken transfer stopped.

    Parameters
    ----------
    partial : path
        File that holds what has arrived so far; it stays when the transfer breaks.
    attempts : int
        How many times the server is asked before giving up, at least 1.
    timeout : float
        Longest silence of the server, in seconds.
    progress : callable, optional
        Called as ``progress(done, total)`` in bytes; `total` is 0 where the server does not say.

    Notes
    -----
    A server that ignores ``Range`` sends the whole file; the transfer then starts over. Bytes of two
    different versions of a file cannot go unnoticed: the checksum of the whole is verified.
    """

    def __init__(
        self,
        partial: Path,
        *,
        attempts: int = 3,
        timeout: float = 30.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        if attempts < 1:
            raise InputError(f"attempts must be at least 1, got {attempts}")
        self.partial, self.attempts, self.timeout, self.progress = partial, attempts, timeout, progress

    def __call__(self, url: str, output_file: str | Path, _pooch: Any = None) -> None:
        """Fetch `url` into `output_file`; the signature is what `pooch` asks for."""
        for attempt in range(1, self.attempts + 1):
            try:
                self._transfer(url)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ) as error:
                if attempt == self.attempts:
                    raise
                logger.warning("%s broke off (%s); attempt %d of %d", url, error, attempt + 1, self.attempts)
        self.partial.replace(output_file)

    def _transfer(self, url: str) -> None:
        start = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            where = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if start and answer.status_code == 416:
                if where and where[2] == str(start):
                    return  # all bytes had arrived before the break
                self.partial.unlink()
                raise requests.ConnectionError(
                    f"the {start} bytes kept do not fit the file at {url}; starting over"
                )
            answer.raise_for_status()
            if answer.status_code != 206 or not where or where[1] != str(start):
                start = 0
            total = start + int(answer.headers.get("Content-Length", 0))
            self._store(answer, start, total)

    def _store(self, answer: requests.Response, start: int, total: int) -> None:
        done = start
        with self.partial.open("ab" if start else "wb") as file:
            for block in answer.iter_content(_BLOCK):
                file.write(block)
                done += len(block)
                if self.progress:
                    self.progress(done, total)
        if done < total:
            raise requests.ConnectionError(f"the server closed after {done} of {total} bytes")


def default_cache() -> Path:
    """Folder of downloaded files: the user's cache folder, or the variable ``LABKIT_CACHE``."""
    return Path(pooch.utils.cache_location(pooch.os_cache("labkit"), env="LABKIT_CACHE", version=None))


def download(
    url: str,
    *,
    checksum: str | None = None,
    cache: str | Path | None = None,
    attempts: int = 3,
    timeout: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, str]:
    """A published file from the cache, or from the network when it is not there yet.

    Parameters
    ----------
    url : str
        Address of the file; its last part names the file in the cache.
    checksum : str, optional
        ``"md5:..."``, ``"sha256:..."``. By default the sum that the Zenodo record states, read at
        the first download and kept beside the file, so that a cached file needs no network.
    cache : path, optional
        Folder of the cache, by default `default_cache`.
    attempts, timeout, progress
        As for `Resume`.

    Returns
    -------
    path : Path
        The file, whose checksum holds.
    checksum : str
        The sum it was checked against.

    Raises
    ------
    MissingDataError
        If the server cannot be reached or refuses; what had arrived is kept and continued next time.
    InputError
        If `checksum` is malformed, or what was downloaded has another sum.
    """
    if checksum is not None:
        parse_checksum(checksum)
    folder = Path(cache) if cache is not None else default_cache()
    name = Path(urlsplit(url).path).name
    beside, partial = folder / f"{name}.checksum", folder / f"{name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        expected = checksum or (beside.read_text().strip() if beside.exists() else None)
        expected = expected or zenodo_checksum(url, timeout=timeout)
        resume = Resume(partial, attempts=attempts, timeout=timeout, progress=progress)
        path = Path(pooch.retrieve(url, known_hash=expected, fname=name, path=folder, downloader=resume))
        beside.write_text(expected + "\n")
    except requests.RequestException as error:
        kept = partial.stat().st_size if partial.exists() else 0
        raise MissingDataError(
            f"{url} could not be downloaded ({error}); {kept} bytes are kept in {folder} and the next call "
            "continues from there. Without a network, fetch the file elsewhere and give its path"
        ) from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"the file at {url} must have the checksum {expected}; it was not kept: {error}"
        ) from error
    except OSError as error:
        raise InputError(
            f"cache must be a folder with room for {name}, got {str(folder)!r}: {error}"
        ) from error
    return path, expected

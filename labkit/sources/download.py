"""Download one published file: cached, checked by length and checksum, resumed after a break, bounded.

`pooch` keeps the cache and checks the sum. It cannot resume a broken download, so the transfer itself is done
here: bytes go to ``<name>.partial`` in the cache folder, and the next attempt asks the server only for
the rest (HTTP ``Range``). A file takes its final name only when its sum is right.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pooch
import requests
import urllib3

from labkit.errors import InputError, MissingDataError

logger = logging.getLogger(__name__)

_ATTEMPTS, _BLOCK = 3, 1 << 18
_LARGEST = 16 * 2**30  # bytes of one file
_LONGEST_ANSWER = 2**22  # bytes of an archive's record
_TIMEOUT = 30.0  # seconds without a byte
_BROKEN = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


def parse_checksum(checksum: str) -> tuple[str, str]:
    """Algorithm and lower-case hex digits of a checksum such as ``"md5:..."``; another form is refused."""
    match = re.fullmatch(r"(md5|sha1|sha256|sha512):([0-9a-fA-F]{32,128})", checksum)
    if not match:
        raise InputError(
            f"checksum must look like 'md5:<hex digits>' or 'sha256:<hex digits>', got {checksum!r}"
        )
    return match[1], match[2].lower()


def zenodo_entry(url: str) -> tuple[str, int | None]:
    """Checksum (``"md5:..."``) and size in bytes of a file, as its Zenodo record states them.

    `url` is ``<server>/records/<record>/files/<name>``; an InputError says that it is not, or that the record
    does not list the file. A server that cannot be reached is a `requests.RequestException`.
    """
    parts = urlsplit(url)
    match = re.fullmatch(r"/records/(\d+)/files/([^/]+)", parts.path)
    if not match:
        raise InputError(
            "url must look like https://zenodo.org/records/<record>/files/<name> for its checksum to be "
            f"looked up, got {url!r}; give checksum='md5:...'"
        )
    record, name = match[1], unquote(match[2])
    address = f"{parts.scheme}://{parts.netloc}/api/records/{record}"
    with requests.get(address, timeout=_TIMEOUT, stream=True) as answer:
        answer.raise_for_status()
        text = answer.raw.read(_LONGEST_ANSWER, decode_content=True)
    try:
        entry = next(entry for entry in json.loads(text)["files"] if entry["key"] == name)
        parse_checksum(entry["checksum"])
        return entry["checksum"], int(entry["size"]) if "size" in entry else None
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise InputError(
            f"record {record} at {parts.netloc} must list {name!r} with its checksum, "
            f"got {text[:80]!r}; give checksum='md5:...'"
        ) from error


def default_cache() -> Path:
    """Folder of downloaded files: the user's cache folder, or the variable ``LABKIT_CACHE``."""
    return Path(pooch.utils.cache_location(pooch.os_cache("labkit"), env="LABKIT_CACHE", version=None))


def download(
    url: str,
    *,
    checksum: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, str]:
    """A published file and its checksum: from the cache, or from the network when it is not there yet."""
    if checksum is not None:
        parse_checksum(checksum)
    name = unquote(Path(urlsplit(url).path).name)
    if not name or {"/", "\\", "\0"} & set(name) or name.startswith("."):
        raise InputError(f"url must end in the name of a file, got {url!r}")
    folder = Path(cache) if cache is not None else default_cache()
    beside, partial = folder / f"{name}.checksum", folder / f"{name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        expected, size = checksum or (beside.read_text().strip() if beside.exists() else None), None
        if expected is None:
            expected, size = zenodo_entry(url)
        transfer = _Transfer(partial, size, progress)
        path = Path(pooch.retrieve(url, known_hash=expected, fname=name, path=folder, downloader=transfer))
        beside.write_text(expected + "\n")
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = partial.stat().st_size if partial.exists() else 0
        raise MissingDataError(
            f"{url} could not be downloaded ({error}); {kept} bytes are kept in {folder} and the next call "
            "resumes from there. Without a network, fetch the file elsewhere and give its path"
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


@dataclass
class _Transfer:
    """A downloader for `pooch.retrieve` that resumes from the bytes in `partial`, which stay when it breaks.

    A server that ignores ``Range`` sends the whole file; the transfer then starts over. Bytes of two
    different versions of a file cannot go unnoticed: the checksum of the whole is verified.
    """

    partial: Path
    size: int | None
    progress: Callable[[int, int], None] | None

    def __call__(self, url: str, output_file: str | Path, _pooch: Any = None) -> None:
        """Fetch `url` into `output_file`; the signature is what `pooch` asks for."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._fetch(url)
                break
            except _BROKEN as error:
                if attempt == _ATTEMPTS:
                    raise
                logger.warning("%s broke off (%s); attempt %d of %d", url, error, attempt + 1, _ATTEMPTS)
        self.partial.replace(output_file)

    def _fetch(self, url: str) -> None:
        start = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
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
            length = answer.headers.get("Content-Length", "")
            self._store(answer, start, start + int(length) if length.isdecimal() else self.size or 0)

    def _store(self, answer: requests.Response, start: int, total: int) -> None:
        done = start
        with self.partial.open("ab" if start else "wb") as file:
            while max(done, total) <= _LARGEST and (block := answer.raw.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                if self.progress:
                    self.progress(done, total)
        if max(done, total) > _LARGEST:
            self.partial.unlink()
            raise InputError(f"the file at {answer.url} must have at most {_LARGEST} bytes, got more")
        if total and done != total:
            raise requests.ConnectionError(f"the server closed after {done} of {total} bytes")
        if self.size is not None and done != self.size:
            self.partial.unlink()
            raise InputError(
                f"the file at {answer.url} must have the {self.size} bytes of its record, got {done}"
            )

"""Checksums of published files: stated by hand or by the archive's record, and verified."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from labkit.errors import InputError, MissingDataError

__all__ = ["check_sum", "parse_checksum", "zenodo_checksum"]


def parse_checksum(checksum: str) -> tuple[str, str]:
    """Algorithm and lower-case hex digits of a checksum such as ``"md5:..."``.

    Raises
    ------
    InputError
        If it is malformed or of an algorithm other than md5, sha1, sha256 and sha512.
    """
    match = re.fullmatch(r"(md5|sha1|sha256|sha512):([0-9a-fA-F]{32,128})", checksum)
    if not match:
        raise InputError(
            f"checksum must look like 'md5:<hex digits>' or 'sha256:<hex digits>', got {checksum!r}"
        )
    return match[1], match[2].lower()


def check_sum(path: str | Path, checksum: str) -> None:
    """Check a file that you have against a checksum.

    Parameters
    ----------
    path : path
        The file.
    checksum : str
        ``"md5:..."``, ``"sha256:..."``.

    Raises
    ------
    MissingDataError
        If `path` is not a file.
    InputError
        If the sum is malformed, or the file has another.
    """
    algorithm, expected = parse_checksum(checksum)
    if not Path(path).is_file():
        raise MissingDataError(f"path must be a file for its checksum to be verified, got {str(path)!r}")
    found = pooch.file_hash(str(path), alg=algorithm)
    if found != expected:
        raise InputError(
            f"{str(path)!r} must have the checksum {checksum}, got {algorithm}:{found}; get it again"
        )


def zenodo_checksum(url: str, *, timeout: float = 30.0) -> str:
    """Checksum of a file as its Zenodo record states it.

    Parameters
    ----------
    url : str
        Address of the file, ``<server>/records/<record>/files/<name>``.
    timeout : float
        Longest silence of the server, in seconds.

    Returns
    -------
    str
        ``"md5:<hex digits>"``.

    Raises
    ------
    InputError
        If `url` is no file of a record, or the record does not list the file.
    requests.RequestException
        If the server cannot be reached.
    """
    parts = urlsplit(url)
    match = re.fullmatch(r"/records/(\d+)/files/([^/]+)", parts.path)
    if not match:
        raise InputError(
            "url must look like https://zenodo.org/records/<record>/files/<name> for its checksum to be "
            f"looked up, got {url!r}; give checksum='md5:...'"
        )
    record, name = match.groups()
    answer = requests.get(f"{parts.scheme}://{parts.netloc}/api/records/{record}", timeout=timeout)
    answer.raise_for_status()
    try:
        sums = {entry["key"]: entry["checksum"] for entry in answer.json()["files"]}
        return str(sums[name])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"record {record} at {parts.netloc} must list {name!r} with its checksum, "
            f"got {answer.text[:80]!r}; give checksum='md5:...'"
        ) from error

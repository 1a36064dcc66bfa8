"""The text of a file, gzipped or not, with what is wrong with its bytes named."""

import zlib
from pathlib import Path

from veridical.errors import DataError, Fault
from veridical.files import read_bytes

LARGEST = 512 * 1024 * 1024
"""Bytes that a compressed file may unpack to."""
_GZIP = b"\x1f\x8b"


def read_plain_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked where it is gzipped.

    Raises:
        DataError: There is no such file, or it is not what its name says.
        StorageError: The disk refused.
    """
    if not path.is_file():
        what = (
            "is a folder; name a file" if path.is_dir() else "there is no such file. Check the path"
        )
        raise DataError([Fault(path, None, f"{what}.")])
    data = read_bytes(path)
    if data.startswith(_GZIP):
        return _unpack(path, data)
    if path.suffix == ".gz":
        message = "named .gz but not gzipped. Rename it, or compress it."
        raise DataError([Fault(path, None, message)])
    return data


def decode(path: Path, data: bytes) -> str:
    """UTF-8 text without byte order mark.

    Raises:
        DataError: It is in another encoding, or binary.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError([Fault(path, 1, "UTF-16, not UTF-8. Save the file as UTF-8.")])
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"not UTF-8 (byte {data[error.start]:#04x}). Save the file as UTF-8."
        raise DataError([Fault(path, line, message)]) from error


def _unpack(path: Path, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    parts, size = [], 0
    try:
        while data:
            parts.append(unpacker.decompress(data, LARGEST + 1 - size))
            size += len(parts[-1])
            if size > LARGEST:
                message = f"unpacks to more than {LARGEST >> 20} MiB. Give a smaller file."
                raise DataError([Fault(path, None, message)])
            if not unpacker.eof:
                break
            data = unpacker.unused_data.lstrip(b"\0")  # several members are one file
            unpacker = zlib.decompressobj(wbits=31) if data else unpacker
    except zlib.error as error:
        raise DataError([Fault(path, None, f"broken gzip: {error}. Download it again.")]) from error
    if not unpacker.eof:
        raise DataError([Fault(path, None, "broken gzip: cut off. Download it again.")])
    return b"".join(parts)

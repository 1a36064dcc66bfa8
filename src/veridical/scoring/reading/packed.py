"""Files that hold another file: gzip, bzip2, xz, and zip with one file in it; all bounded.

What is neither text nor one of them is named by its first bytes.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from veridical.encodings import most_unpacked
from veridical.errors import DataError, Fault
from veridical.files import read_bytes
from veridical.progress import counted

LARGEST = 512 * 1024 * 1024
"""Bytes that a compressed file may unpack to."""
_ZIP = b"PK\x03\x04"
_NAMED = {
    b"\x80\x02": "a pickle, which would run code when it is read. Save its rows as JSON lines",
    b"\x80\x03": "a pickle, which would run code when it is read. Save its rows as JSON lines",
    b"\x80\x04": "a pickle, which would run code when it is read. Save its rows as JSON lines",
    b"\x80\x05": "a pickle, which would run code when it is read. Save its rows as JSON lines",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls). Save it as .xlsx or CSV",
    b"SQLite format 3": "an SQLite database. Save its rows as JSON lines",
    b"\x89PNG": "a PNG image. Give the file of rows",
    b"\xff\xd8\xff": "a JPEG image. Give the file of rows",
    b"%PDF": "a PDF. Give the file of rows",
    b"7z\xbc\xaf": "a 7z archive. Unpack it and name the file",
    b"Rar!": "a RAR archive. Unpack it and name the file",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard. Unpack it, or compress it with gzip",
}
"""What files begin with that hold no rows."""


_PACKERS: dict[bytes, tuple[str, Callable[[BinaryIO], BinaryIO]]] = {
    b"\x1f\x8b": ("gzip", lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file))),
    b"BZh": ("bzip2", lambda file: cast("BinaryIO", bz2.BZ2File(file))),
    b"\xfd7zXZ\x00": ("xz", lambda file: cast("BinaryIO", lzma.LZMAFile(file))),  # noqa: SIM115 (closed in _unpacked)
}
_SUFFIXES = {".gz": "gzipped", ".bz2": "compressed with bzip2", ".xz": "compressed with xz"}


def read_plain_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked where it is packed.

    Raises:
        DataError: There is no such file, or it is not what its name says.
        StorageError: The disk refused.
    """
    if not path.is_file():
        what = (
            "is a folder; name a file" if path.is_dir() else "there is no such file. Check the path"
        )
        raise DataError([Fault(path, None, f"{what}.")])
    return unpack(path, read_bytes(path))


def reject_foreign(path: Path, data: bytes) -> None:
    """Refuse what is known to be no text by its first bytes.

    Raises:
        DataError: It is such a file; the message names it.
    """
    named = next((what for start, what in _NAMED.items() if data.startswith(start)), None)
    if named is not None:
        raise DataError([Fault(path, None, f"{named}.")])


def unpack(path: Path, data: bytes) -> bytes:
    """What a file holds, unpacked once where it is packed.

    Raises:
        DataError: It is broken, unpacks to too much, or is of another kind.
    """
    for start, (kind, opened) in _PACKERS.items():
        if data.startswith(start):
            return _unpacked(path, data, kind, opened)
    if path.suffix in _SUFFIXES:
        message = (
            f"named {path.suffix} but not {_SUFFIXES[path.suffix]}. Rename it, or compress it."
        )
        raise DataError([Fault(path, None, message)])
    if data.startswith(_ZIP) and path.suffix not in (".xlsx", ".xlsm"):
        return _from_zip(path, data)
    return data


def _unpacked(path: Path, data: bytes, kind: str, opened: Callable[[BinaryIO], BinaryIO]) -> bytes:
    try:
        with opened(io.BytesIO(data)) as file:
            most = most_unpacked(len(data), most=LARGEST)
            held = file.read(most + 1)
    except EOFError as error:
        message = f"broken {kind}: cut off. Download it again."
        raise DataError([Fault(path, None, message)]) from error
    except (zlib.error, OSError, lzma.LZMAError) as error:
        message = f"broken {kind}: {error}. Download it again."
        raise DataError([Fault(path, None, message)]) from error
    if len(held) > most:
        raise _too_large(path, most)
    return held


def _from_zip(path: Path, data: bytes) -> bytes:
    """The one file in an archive; an Excel workbook, which is an archive too, stays as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [
                info.filename
                for info in archive.infolist()
                if not info.is_dir() and not info.filename.startswith("__MACOSX")
            ]
            if "[Content_Types].xml" in names or any(name.startswith("xl/") for name in names):
                return data
            if len(names) != 1:
                some = ", ".join(names[:5]) or "none"
                message = (
                    f"an archive of {counted(len(names), 'file')} ({some}). Unpack it"
                    " and name one file."
                )
                raise DataError([Fault(path, None, message)])
            with archive.open(names[0]) as file:
                most = most_unpacked(len(data), most=LARGEST)
                held = file.read(most + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError) as error:
        message = f"not an archive that can be read: {error}. Download it again."
        raise DataError([Fault(path, None, message)]) from error
    if len(held) > most:
        raise _too_large(path, most)
    return held


def _too_large(path: Path, most: int) -> DataError:
    message = f"unpacks to more than {most >> 20} MiB. Unpack it, and give a part of it."
    return DataError([Fault(path, None, message)])

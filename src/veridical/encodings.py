"""Bytes as text: UTF-8, and every other encoding named as what it is; bounds on packed bytes."""

from pathlib import Path

from veridical.errors import DataError, Fault

_LARGEST_RATIO = 100
"""How much larger than its file a packed text may be; answers and captions expand tenfold."""
_SMALL = 4 * 1024 * 1024
"""Bytes that any packed file may unpack to, however well it packs."""


def most_unpacked(packed: int, *, most: int) -> int:
    """How many bytes a packed file may unpack to.

    Args:
        packed: Its own bytes.
        most: Bound for files of any size.
    """
    return min(most, max(_SMALL, _LARGEST_RATIO * packed))


def decode_text(path: Path, data: bytes) -> str:
    """The text of a UTF-8 file's bytes, without byte order mark.

    Raises:
        DataError: They are in another encoding, which is named where it shows.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:200].count(0) > len(data[:200]) // 3:
        raise DataError([Fault(path, None, "the file is UTF-16. Save it as UTF-8.")])
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = (
            f"not UTF-8 (byte {data[error.start]:#04x}){_other_encoding(data)}. Save the file as"
            " UTF-8."
        )
        raise DataError([Fault(path, line, message)]) from error


def _other_encoding(data: bytes) -> str:
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    high = [byte >= 0x80 for byte in data[:100_000]]
    alone = sum(
        here and not before and not after
        for before, here, after in zip([False, *high], high, [*high[1:], False], strict=False)
    )
    if 2 * alone > sum(high):  # accented letters of Latin-1 stand alone, Chinese never does
        return ""
    han = sum("\u4e00" <= sign <= "\u9fff" for sign in text)
    return ", perhaps GBK" if 2 * han > sum(sign > "\x7f" for sign in text) else ""

"""Pictures inside the page: data URIs, so that the one file needs no other."""

import base64
import binascii

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}


def image_type(data: bytes) -> str:
    """Media type of an image file's bytes.

    Raises:
        ValueError: Neither PNG nor JPEG nor WebP.
    """
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature) and (media_type != "image/webp" or data[8:12] == b"WEBP"):
            return media_type
    raise ValueError(f"not the bytes of a PNG, JPEG or WebP image, they begin with {data[:12]!r}")


def data_uri(data: bytes) -> str:
    """The image as a `data:` URI."""
    return f"data:{image_type(data)};base64,{to_base64(data)}"


def to_base64(data: bytes) -> str:
    """Base64 text of bytes."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Bytes of base64 text.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error

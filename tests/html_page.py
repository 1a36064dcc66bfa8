"""A strict reader of the pages that reports write."""

import re
from html.parser import HTMLParser

VOID = {
    "meta",
    "link",
    "img",
    "input",
    "br",
    "hr",
    "circle",
    "line",
    "rect",
    "polygon",
    "polyline",
    "path",
}


class Page(HTMLParser):
    """Parses strictly: every tag closed in order, ids unique, references resolved."""

    def __init__(self, html):
        super().__init__()
        self.stack, self.ids, self.references, self.urls, self.images, self.headings = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.text = ""
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag not in VOID:
            self.stack.append(tag)
        self.ids += [a["id"]] if "id" in a else []
        self.references += [a[key] for key in ("aria-labelledby", "for") if key in a]
        self.references += [a["href"][1:]] if a.get("href", "").startswith("#") else []
        self.urls += [a[key] for key in ("src", "href", "action", "data") if key in a]
        self.images += [a] if tag == "img" else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.text += data

"""What does a correction cost at the keyboard: in the studio, and in a text field with a form?

    python benchmarks/studio/keystrokes.py

The same correction of two words by a robot in a real Chromium, by keyboard alone: once in the
studio, once on the page that a team would write in an afternoon: the answer in a text field, and
below it a table in which each change is entered again (old words, new words, kind). Counted are
strokes beside the letters of the new words; seconds are simulated by the keystroke-level model
(Card, Moran and Newell 1980): 0.28 s for a stroke of an average typist, 1.35 s to think before each
act of its own.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "studio"))

from playwright.sync_api import sync_playwright

from conftest import CHROMIUM, Desk, Served
from studio_projects import ANSWER, make_project

STROKE, THOUGHT = 0.28, 1.35
"""Seconds of the keystroke-level model."""
EDITS = (("knives", "cups", "object"), ("left", "right", "position"))
WANTED = "The picture shows a red car and two cups on the right."
PLAIN = """<!doctype html><title>Correct</title><p>What is here?
<p><textarea id=answer rows=4 cols=70>{answer}</textarea>
<table>{rows}</table><button>Submit</button>
<script>document.querySelector("button").onclick = () => {{
  const cells = [...document.querySelectorAll("tr")].map((row) =>
    [...row.querySelectorAll("input, select")].map((one) => one.value));
  window.sent = [document.getElementById("answer").value, cells];
}}</script>"""
ROW = "<tr><td><input><td><input><td><select>{options}</select>"
KINDS = ("object", "position", "number", "attribute", "action", "other")


class Robot:
    """Presses keys and counts them; `think` stands before each act."""

    def __init__(self, page):
        self.page, self.strokes, self.letters, self.thoughts = page, 0, 0, 0

    def think(self):
        """A person decides what to do now."""
        self.thoughts += 1

    def press(self, *names):
        """Press keys; Ctrl and Shift, held down meanwhile, count once."""
        self.strokes += len({held for name in names for held in name.split("+")[:-1]})
        for name in names:
            self.strokes += 1
            self.page.keyboard.press(name)

    def type(self, text, *, new=True):
        """Type letters: those of new words are what any way must cost."""
        if new:
            self.letters += len(text)
        else:
            self.strokes += len(text)
        self.page.keyboard.type(text)

    def result(self):
        """What it cost."""
        seconds = STROKE * (self.strokes + self.letters) + THOUGHT * self.thoughts
        return {
            "strokes_beside_the_new_words": self.strokes,
            "letters_of_the_new_words": self.letters,
            "acts": self.thoughts,
            "simulated_seconds": round(seconds, 1),
        }


def main():
    """Correct once in each way."""
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = {
            "studio": studio(browser, Path(folder)),
            "text field, whole words selected, kinds form": plain(browser),
        }
        browser.close()
    print(json.dumps(found, indent=2))


def studio(browser, folder):
    """The studio: "/" and letters select a word, a digit names its kind at once."""
    served = Served(make_project(folder, "correct", [ANSWER]))
    desk = Desk(browser.new_page(), served).enter()
    robot = Robot(desk.page)
    for number, (letters, (_, new, kind)) in enumerate(zip(("kn", "le"), EDITS, strict=True)):
        robot.think()
        robot.press(*(["Escape"] if number else []), "/")
        robot.type(letters, new=False)
        robot.press(str(KINDS.index(kind) + 1))
        robot.type(new)
    robot.think()
    robot.press("Control+Enter")
    (row,) = desk.judged(1)
    assert row.payload["text"] == WANTED
    assert [one["kind"] for one in row.payload["changes"]] == [kind for *_, kind in EDITS]
    served.stop()
    served.studio.database.close()
    return robot.result()


def plain(browser):
    """A text field: words are reached by Ctrl+arrows, changes entered again in the form."""
    page = browser.new_page()
    options = "".join(f"<option>{kind}" for kind in ("", *KINDS))
    rows = ROW.format(options=options) * 2
    page.set_content(PLAIN.format(answer=ANSWER, rows=rows))
    robot = Robot(page)
    robot.think()
    robot.press("Tab")
    page.evaluate("document.getElementById('answer').setSelectionRange(0, 0)")
    words = ANSWER.rstrip(".").split()
    at = 0
    for old, new, _ in EDITS:
        robot.think()
        robot.press(*["Control+ArrowRight"] * (words.index(old) + 1 - at))
        robot.press("Control+Shift+ArrowLeft")
        robot.type(new)
        at = words.index(old) + 1
    for old, new, kind in EDITS:
        robot.think()
        robot.press("Tab")
        robot.type(old, new=False)
        robot.press("Tab")
        robot.type(new, new=False)
        robot.press("Tab")
        robot.think()
        robot.type(kind[0] if kind != "attribute" else "at", new=False)
    robot.think()
    robot.press("Tab", "Enter")
    text, cells = page.evaluate("window.sent")
    assert text == WANTED, text
    assert cells == [list(edit) for edit in EDITS], cells
    return robot.result()


if __name__ == "__main__":
    main()

"""Figures of the reports, as SVG.

Before is a hollow mark, after a filled one; lines are 95 % intervals. All are drawn about as wide
as a phone's screen, so that their text keeps its size; the page sets them side by side where there
is room.
"""

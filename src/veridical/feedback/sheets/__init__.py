"""Judging in a spreadsheet: a folder of responses as a table that people fill, and back.

`tables` knows CSV and workbooks, `rows` what each task's columns are, `writing` and `reading` the
two directions. May import `feedback`, `records` and what lies below.
"""

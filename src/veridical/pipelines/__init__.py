"""Whole loops wired from stages that meet on disk: the demo. Called by the command line and from Python."""

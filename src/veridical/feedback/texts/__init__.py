"""Texts that people correct: their words, what two of them share, their line ends."""

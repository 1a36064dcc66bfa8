"""AMBER: descriptions against annotated words, and yes/no questions."""

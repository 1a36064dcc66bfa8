"""What is wrong with a dataset as a whole, and what is suspicious in single rows.

Faults of rows stop an import and are found there. A finding stops nothing: it says what training on
the data would teach besides what is meant, where that shows, and what to do.
"""

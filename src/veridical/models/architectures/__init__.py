"""What differs between model families: one row of facts for each, and what follows from them.

`table` holds the rows; `parts` finds tower, projector and decoder; `images` carries images into a
forward; `positions` says where the fast paths hold.
"""

"""Records going out: one folder that training reads as it is, and public formats through it."""

"""Public data formats ↔ records, one file per format. No torch."""

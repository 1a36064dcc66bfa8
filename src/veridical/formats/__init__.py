"""Public data sets ↔ records. One file a format; imports records, files and errors. No torch."""

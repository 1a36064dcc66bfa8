"""From bytes to rows: encodings, JSON in its many layouts, tables, and what other tools wrap rows in."""

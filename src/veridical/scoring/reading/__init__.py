"""From bytes to rows: encodings, layouts of JSON, tables, and outputs of other tools."""

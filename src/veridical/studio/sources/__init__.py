"""Where items come from: runs of `veridical generate`, comparisons, tables, Label Studio."""

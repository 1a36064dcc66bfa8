"""Mathematics: tensors in, tensors out; one file a method. Knows no model, file, record or recipe."""

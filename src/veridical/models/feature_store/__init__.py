"""What of an image is kept, and where: the parts behind `FeatureCache`.

`kinds` says what is computed once for a family and how it reaches a forward again; `files` holds it
in a folder of bounded size.
"""

"""How the base model learns to see, read and hallucinate, in stages that can be resumed.

Mirrors how real VLMs come to be: a vision tower trained on dense labels, a language model trained
on text, both joined on images with text, and at last instruction tuning on captions with machine
noise.
"""

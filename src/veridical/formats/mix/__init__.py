"""The SFT mix of LLaVA-RLHF: human-written pictures and texts beside machine-written instructions.

The paper (arXiv 2309.14525, section 2.2) adds VQA-v2, A-OKVQA and Flickr30k to LLaVA-Instruct; how
they were converted was never published. A file per dataset turns what is published into
conversations; `building` draws, counts and writes. Each choice that the paper leaves open is a
setting with its reason.
"""

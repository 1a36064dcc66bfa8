"""Simulated people who correct, compare and rate responses, with stated error rates.

All their judgements are marked `source="simulated"`. The same person, prompt, response and seed
give the same judgement; two people of different names err independently of each other.
"""

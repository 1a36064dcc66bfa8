"""A learned reward model that reads facts, rules that are plain functions, and their sum."""

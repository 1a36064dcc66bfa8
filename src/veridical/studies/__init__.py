"""Whole loops on the embedded world, made of stages that meet on disk."""

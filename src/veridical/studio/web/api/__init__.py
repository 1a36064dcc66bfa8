"""The JSON API that the pages call, and that a script may call in their place."""

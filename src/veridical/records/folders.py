"""Names of the files of records in a folder, one kind of record each."""

COMPARISONS_FILE = "comparisons.jsonl"
"""`Comparison`: which of two responses is better."""
PROMPTS_FILE = "prompts.jsonl"
"""`Prompt`."""
RESPONSES_FILE = "responses.jsonl"
"""`Response`."""
FACTS_FILE = "facts.jsonl"
"""`Facts`."""
CONVERSATIONS_FILE = "conversations.jsonl"
"""`Conversation`."""

ALL_FILES = (COMPARISONS_FILE, PROMPTS_FILE, RESPONSES_FILE, FACTS_FILE, CONVERSATIONS_FILE)
"""All of them."""

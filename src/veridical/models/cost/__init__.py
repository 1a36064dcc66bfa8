"""What a run costs, before it is started: operations and bytes, seconds on a card, dollars."""

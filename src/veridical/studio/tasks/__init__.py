"""What a judgement of each kind must hold, and what is checked before it is kept."""

"""What the lead needs to know: progress, agreement, known answers, differences, cost."""

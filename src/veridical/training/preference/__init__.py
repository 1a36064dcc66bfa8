"""DPO and its relatives on pairs of responses."""

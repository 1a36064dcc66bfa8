"""The loop of RLHF-V: measure, collect corrections, dense DPO, measure again, report."""

"""The datasets of RLHF-V and its successor RLAIF-V, as they were released."""

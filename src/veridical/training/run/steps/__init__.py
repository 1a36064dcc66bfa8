"""How a training step runs on its device. May import what lies below `training`."""

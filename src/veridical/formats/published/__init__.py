"""Preference data of published methods, a file per data set, in the layouts of their loaders."""

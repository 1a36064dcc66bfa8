"""Preference data of published methods, a file per dataset, in the layouts of their loaders."""

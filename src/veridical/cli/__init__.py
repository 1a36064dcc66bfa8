"""The command line: one file a verb, wiring only; heavy imports inside the verb so that help is instant."""

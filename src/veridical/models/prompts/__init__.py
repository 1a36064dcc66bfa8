"""Texts and images → tensors, by the model's own chat template.

`rendering` fills the template; `encoding` turns prompts into tensors, one by one, and stacks them;
`responses` tokenizes what follows a prompt; `conversations` does both for several turns.
"""

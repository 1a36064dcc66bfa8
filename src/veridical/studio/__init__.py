"""The studio: a web app where people compare, correct, rate and mark what a model answered.

`sources/` brings items in, `store/` keeps them and every judgement (append-only), `tasks/` says
what each kind of judgement must hold, `web/` is what people see, `lead/` counts and compares,
`export/` writes the records that training reads. A project is a folder. Nothing imports torch.
"""

"""What axe-core finds on a page."""


def axe_violations(page, source):
    """What axe finds serious or critical on a page."""
    page.evaluate(source)
    found = page.evaluate("axe.run()")
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]

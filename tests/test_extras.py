import tomllib
from pathlib import Path

from veridical.errors import install_line
from veridical.extras import missing_package_error, requirements

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def name_of(requirement):
    return next(
        requirement[:i]
        for i in range(len(requirement) + 1)
        if requirement[i : i + 1] in {">", "<", "=", "[", ""}
    )


def test_packages_and_extras_are_those_of_the_project_file():
    expected = {(name_of(line), None) for line in PROJECT["dependencies"]}
    for extra, lines in PROJECT["optional-dependencies"].items():
        expected |= {(name_of(line), extra) for line in lines}
    assert {(r.package, r.extra) for r in requirements()} == expected


def test_a_module_leads_to_its_package():
    def message(module):
        return str(missing_package_error(module, purpose="Training"))

    assert message("torch.nn.functional").startswith("Training needs the package `torch`")
    assert install_line("world") in message("resvg_py")
    assert missing_package_error("json", purpose="Training") is None
    # Always installed: its absence is a broken installation.
    assert missing_package_error("pydantic", purpose="Training") is None

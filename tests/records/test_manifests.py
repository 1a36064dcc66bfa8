import subprocess
import sys

from veridical.config import Recipe
from veridical.records import Manifest, manifests


class Example(Recipe):
    steps: int = 3
    """How many."""


def test_a_manifest_says_what_made_the_run(tmp_path):
    manifest = manifests.build_manifest(
        verb="train dpo",
        seed=7,
        recipe=Example(),
        inputs={"a": "h"},
        parents=[tmp_path],
        seconds={"train": 1.23456},
    )
    assert manifest.recipe == {"steps": 3}
    assert manifest.parents == (str(tmp_path),)
    assert manifest.seconds == {"train": 1.235}
    assert manifest.created.endswith("+00:00")
    assert manifest.versions["python"] == sys.version.split()[0]
    assert {"veridical", "torch", "transformers", "pydantic"} <= set(manifest.versions)
    assert manifest.machine["cores"] >= 1
    assert 10**7 < manifest.peak_memory_bytes < 10**12  # a Python process takes tens of megabytes
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_the_commit_is_that_of_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "veridical"
    package.mkdir(parents=True)
    source = package / "manifests.py"
    source.write_text("")
    monkeypatch.setattr(manifests, "__file__", str(source))
    assert manifests.git_commit() is None  # no repository
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    clean = manifests.git_commit()
    assert len(clean) == 40
    source.write_text("# changed")
    assert manifests.git_commit() == f"{clean}+dirty"


def test_somebody_elses_repository_is_not_ours(tmp_path, monkeypatch):
    package = tmp_path / ".venv" / "veridical"
    package.mkdir(parents=True)
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    monkeypatch.setattr(manifests, "__file__", str(package / "manifests.py"))
    assert manifests.git_commit() is None


def test_an_absent_package_has_no_version():
    assert manifests.installed_version("no-such-package-anywhere") is None

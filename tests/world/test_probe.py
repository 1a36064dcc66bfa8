"""The probe of the tower: scenes are read back from their pictures, from nothing else."""

import pytest

from veridical.models.loading import load_model
from veridical.world.base import base_model_path
from veridical.world.probe import fit_scene_probe
from veridical.world.scenes import sample_scenes


@pytest.fixture(scope="module")
def probe():
    return fit_scene_probe(
        load_model(str(base_model_path())), list(sample_scenes(0, "probe", 600)), steps=150
    )


def test_most_of_a_scene_is_read_back_from_the_tower(probe):
    scenes = list(sample_scenes(0, "probed", 100))
    read = probe.read(scenes)
    assert [scene.id for scene in read] == [scene.id for scene in scenes]
    groups = sum(len(scene.groups) for scene in scenes)
    found = sum(
        set(scene.nouns) <= set(seen.nouns) for scene, seen in zip(scenes, read, strict=True)
    )
    same = sum(
        (group.colour, group.number, group.column) == (seen.colour, seen.number, seen.column)
        for scene, other in zip(scenes, read, strict=True)
        for group in scene.groups
        if (seen := other.group_of(group.noun)) is not None
    )
    assert found >= 90
    assert same / groups > 0.9


def test_what_is_read_follows_the_picture_and_not_the_scene_that_is_named(probe):
    one, two = sample_scenes(0, "probed", 2)
    renamed = two.model_copy(update={"id": one.id})
    assert (
        probe.read([renamed])[0].groups
        == probe.read([two])[0].groups
        != probe.read([one])[0].groups
    )

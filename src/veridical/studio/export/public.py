"""An exported folder in a public format, too, through the registry of formats."""

from pathlib import Path

from veridical.feedback.datasets import export_dataset
from veridical.formats.registry import find_format


def export_format(folder: Path, name: str) -> Path:
    """Write FOLDER/NAME/data.SUFFIX; what the format cannot say is left out.

    Args:
        folder: What `export_studio` wrote.
        name: Name of a format that can be written.

    Raises:
        ConfigError: There is no such format, or it is only read.
        DataError: Nothing of the folder can be said in the format.
    """
    out = folder / name / f"data{find_format(name).suffix}"
    return export_dataset(folder, out, format_name=name, skip_bad=True)

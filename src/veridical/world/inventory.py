"""What the world is made of: 8 contexts of 6 objects, 6 colours, 5 numbers, 3 places, 2 sizes.

The objects of a context occur together, and each has a colour and a place that a machine captioner
expects of it: that is what makes a model trained on such captions over-generalise ("a kitchen, so
there is a knife"), the failure that RLHF-V (arXiv 2312.00849, Table 2) measures.
"""

from typing import Literal, NamedTuple

Colour = Literal["red", "blue", "green", "yellow", "purple", "gray"]
COLOURS: tuple[Colour, ...] = ("red", "blue", "green", "yellow", "purple", "gray")

Place = Literal["left", "middle", "right"]
PLACES: tuple[Place, ...] = ("left", "middle", "right")
PLACE_PHRASES: dict[Place, str] = {
    "left": "on the left",
    "middle": "in the middle",
    "right": "on the right",
}

Size = Literal["small", "large"]
SIZES: tuple[Size, ...] = ("small", "large")

NUMBER_WORDS: dict[int, str] = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


class ObjectType(NamedTuple):
    """One kind of object."""

    noun: str
    """Singular."""
    plural: str
    """Plural."""
    codepoint: str
    """The OpenMoji icon that draws it."""
    typical_colour: Colour
    """The colour that one expects of it."""
    typical_place: Place
    """Where one expects it."""


class Context(NamedTuple):
    """One kind of scene."""

    name: str
    """What the scene is called."""
    objects: tuple[ObjectType, ...]
    """What is typical for it, the most expected first."""
    upper: str
    """Colour of the upper half of the background (wall or sky)."""
    lower: str
    """Colour of the lower half (floor or ground)."""


def _context(
    name: str, upper: str, lower: str, *objects: tuple[str, str, str, Colour, Place]
) -> Context:
    return Context(name, tuple(ObjectType(*item) for item in objects), upper, lower)


CONTEXTS: tuple[Context, ...] = (
    _context(
        "kitchen",
        "#fdf3e3",
        "#ead9c2",
        ("knife", "knives", "1F52A", "gray", "right"),
        ("cup", "cups", "2615", "blue", "left"),
        ("apple", "apples", "1F34E", "red", "middle"),
        ("pan", "pans", "1F373", "gray", "left"),
        ("bread", "breads", "1F35E", "yellow", "right"),
        ("spoon", "spoons", "1F944", "gray", "middle"),
    ),
    _context(
        "farm",
        "#e3f1fb",
        "#dfe8b8",
        ("cow", "cows", "1F404", "gray", "left"),
        ("horse", "horses", "1F40E", "red", "right"),
        ("pig", "pigs", "1F416", "red", "middle"),
        ("tractor", "tractors", "1F69C", "green", "right"),
        ("rooster", "roosters", "1F413", "red", "left"),
        ("sheep", "sheep", "1F411", "gray", "middle"),
    ),
    _context(
        "street",
        "#eef0f4",
        "#d3d5da",
        ("car", "cars", "1F697", "red", "middle"),
        ("bus", "buses", "1F68C", "yellow", "left"),
        ("bicycle", "bicycles", "1F6B2", "blue", "right"),
        ("truck", "trucks", "1F69A", "green", "right"),
        ("motorcycle", "motorcycles", "1F3CD", "purple", "left"),
        ("scooter", "scooters", "1F6F5", "red", "middle"),
    ),
    _context(
        "office",
        "#eaf0ee",
        "#d9cfc4",
        ("laptop", "laptops", "1F4BB", "gray", "middle"),
        ("book", "books", "1F4D5", "red", "left"),
        ("pencil", "pencils", "270F", "yellow", "right"),
        ("telephone", "telephones", "260E", "red", "right"),
        ("printer", "printers", "1F5A8", "gray", "left"),
        ("clock", "clocks", "23F0", "blue", "middle"),
    ),
    _context(
        "park",
        "#dceefa",
        "#cfe6c4",
        ("dog", "dogs", "1F415", "yellow", "left"),
        ("tree", "trees", "1F333", "green", "right"),
        ("ball", "balls", "26BD", "blue", "middle"),
        ("bird", "birds", "1F426", "blue", "left"),
        ("kite", "kites", "1FA81", "purple", "right"),
        ("balloon", "balloons", "1F388", "red", "middle"),
    ),
    _context(
        "beach",
        "#d8f0f7",
        "#f6e7bd",
        ("umbrella", "umbrellas", "26F1", "purple", "right"),
        ("boat", "boats", "26F5", "red", "left"),
        ("crab", "crabs", "1F980", "red", "middle"),
        ("shell", "shells", "1F41A", "yellow", "left"),
        ("fish", "fish", "1F41F", "blue", "middle"),
        ("sandal", "sandals", "1FA74", "green", "right"),
    ),
    _context(
        "bedroom",
        "#f1e8f6",
        "#e0cdbb",
        ("bed", "beds", "1F6CF", "blue", "middle"),
        ("lamp", "lamps", "1F4A1", "yellow", "left"),
        ("chair", "chairs", "1FA91", "red", "right"),
        ("cat", "cats", "1F408", "gray", "left"),
        ("television", "televisions", "1F4FA", "gray", "right"),
        ("guitar", "guitars", "1F3B8", "yellow", "middle"),
    ),
    _context(
        "garden",
        "#e9f6e4",
        "#c9dcae",
        ("tulip", "tulips", "1F337", "red", "left"),
        ("butterfly", "butterflies", "1F98B", "purple", "middle"),
        ("bee", "bees", "1F41D", "yellow", "right"),
        ("mushroom", "mushrooms", "1F344", "red", "left"),
        ("snail", "snails", "1F40C", "green", "right"),
        ("carrot", "carrots", "1F955", "yellow", "middle"),
    ),
)

OBJECTS: tuple[ObjectType, ...] = tuple(item for context in CONTEXTS for item in context.objects)
OBJECT_BY_NOUN: dict[str, ObjectType] = {item.noun: item for item in OBJECTS}
NOUN_BY_WORD: dict[str, str] = {
    word: item.noun for item in OBJECTS for word in (item.noun, item.plural)
}
CONTEXT_BY_NAME: dict[str, Context] = {context.name: context for context in CONTEXTS}
CONTEXT_OF_NOUN: dict[str, str] = {
    item.noun: context.name for context in CONTEXTS for item in context.objects
}


def number_phrase(noun: str, number: int, colour: Colour) -> str:
    """Name a group as descriptions do.

    >>> number_phrase("apple", 1, "red"), number_phrase("knife", 2, "gray")
    ('a red apple', 'two gray knives')
    """
    item = OBJECT_BY_NOUN[noun]
    return (
        f"a {colour} {item.noun}"
        if number == 1
        else f"{NUMBER_WORDS[number]} {colour} {item.plural}"
    )


def with_article(noun: str) -> str:
    """Put the indefinite article before a noun.

    >>> with_article("office"), with_article("knife")
    ('an office', 'a knife')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

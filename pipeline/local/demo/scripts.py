"""What the demo videos say: our own words on things that are easy to check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scene:
    """One slide and what is said while it stands."""

    heading: str
    lines: tuple[str, ...]
    narration: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoScript:
    """One demo video."""

    name: str  #: file name without ending
    title: str
    scenes: tuple[Scene, ...]


_BEES = DemoScript(
    "honey-bees",
    "A Year in the Beehive",
    (
        Scene(
            "A Year in the Beehive",
            ("A short look at honey bees",),
            ("This is a short look at honey bees and how a colony gets through the year.",),
        ),
        Scene(
            "Who lives in the hive",
            ("One queen", "Tens of thousands of workers", "Drones in summer"),
            (
                "A honey bee colony has one queen and, in summer, tens of thousands of workers.",
                "The workers are all female, and in summer most of them live for only about six weeks.",
                "The drones are the males of the colony, and they leave the hive to mate.",
            ),
        ),
        Scene(
            "The waggle dance",
            ("Angle: direction from the sun", "Length: distance"),
            (
                "A worker that has found good flowers dances on the comb when she comes home.",
                "The angle of the waggle dance shows the direction of the flowers from the sun.",
                "The longer the waggle dance lasts, the farther away the flowers are.",
            ),
        ),
        Scene(
            "From nectar to honey",
            ("Nectar is mostly water", "Fanning dries it", "Wax seals the cell"),
            (
                "Fresh nectar is mostly water when it reaches the hive.",
                "The workers fan their wings until most of that water has left the nectar.",
                "When less than about one fifth is water, it is honey, and the cell is sealed with wax.",
            ),
        ),
        Scene(
            "Through the winter",
            ("A cluster around the queen", "Shivering makes heat", "Honey is the fuel"),
            (
                "In winter the bees form a tight cluster around the queen.",
                "They shiver with their flight muscles to keep the cluster warm.",
                "The stored honey is their fuel until the first flowers open in spring.",
            ),
        ),
    ),
)

_TIDES = DemoScript(
    "tides",
    "Why the Sea Rises and Falls",
    (
        Scene(
            "Why the Sea Rises and Falls",
            ("Tides in one minute",),
            ("Twice a day the sea rises and falls on most coasts, and the Moon is the main reason.",),
        ),
        Scene(
            "The pull of the Moon",
            ("Gravity of Moon and Sun", "Two bulges of water"),
            (
                "Tides come from the gravity of the Moon and the Sun.",
                "The Moon has the stronger effect because it is so much closer than the Sun.",
                "Its gravity stretches the oceans into two bulges, one facing the Moon and one on the far side.",
            ),
        ),
        Scene(
            "Two high tides a day",
            ("The Earth turns under the bulges", "24 hours and 50 minutes"),
            (
                "As the Earth turns, most coasts pass through both bulges.",
                "That is why most coasts have two high tides and two low tides a day.",
                "The whole cycle takes about fifty minutes longer than a day because the Moon moves on.",
            ),
        ),
        Scene(
            "Spring tides and neap tides",
            ("New and full moon: spring tides", "Half moon: neap tides"),
            (
                "At new moon and at full moon, the Sun and the Moon pull along one line.",
                "High water is then higher than usual, and this is called a spring tide.",
                "At half moon they pull at right angles, and the smaller neap tides follow.",
            ),
        ),
        Scene(
            "The shape of the coast",
            ("Bay of Fundy: over 15 meters", "Mediterranean: mostly under 1 meter"),
            (
                "How high the water rises depends on the shape of the coast.",
                "In the Bay of Fundy in Canada the water can rise by more than fifteen meters.",
                "On most coasts of the Mediterranean Sea the water rises by less than one meter.",
            ),
        ),
    ),
)

_BREAD = DemoScript(
    "sourdough",
    "Sourdough from Scratch",
    (
        Scene(
            "Sourdough from Scratch",
            ("Flour, water, salt and time",),
            ("Sourdough bread needs nothing but flour, water, salt and time.",),
        ),
        Scene(
            "The starter",
            ("Flour and water", "Wild yeast makes gas", "Bacteria make it sour"),
            (
                "A sourdough starter is flour and water in which wild yeast and bacteria live.",
                "The yeast makes the gas that lifts the dough, and the bacteria make it sour.",
                "Feed the starter with fresh flour and water, and use it when it is full of bubbles.",
            ),
        ),
        Scene(
            "Mixing the dough",
            ("Starter, flour, water", "Salt: 2 % of the flour", "Rest"),
            (
                "Mix flour and water with some of the starter, and add the salt.",
                "The salt is usually about two percent of the weight of the flour.",
                "Let the dough rest, so that the flour can take up the water.",
            ),
        ),
        Scene(
            "Slow rising",
            ("Several hours", "Fold now and then", "A night in the cold"),
            (
                "The dough now rises for several hours at room temperature.",
                "Fold the dough a few times while it rises, which makes the gluten stronger.",
                "A night in the refrigerator slows the yeast and gives the bread more flavor.",
            ),
        ),
        Scene(
            "Baking",
            ("A very hot oven", "Steam at first", "Let it cool"),
            (
                "Bake the loaf in a very hot oven.",
                "Steam in the first minutes keeps the crust soft, so that the loaf can still expand.",
                "Let the loaf cool before you cut it.",
            ),
        ),
    ),
)

SCRIPTS = (_BEES, _TIDES, _BREAD)

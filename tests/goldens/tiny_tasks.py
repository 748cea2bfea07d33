"""The toy tasks of the tiny test model: what it is trained on, and what LoRA may teach it afterwards.

Every generator takes a `random.Random` and gives one `(prompt, answer)`. Words are made of syllables, or come from short
lists, so a held-out prompt asks for the skill and not for a remembered line.
"""

from random import Random

SYLLABLES = [consonant + vowel for consonant in "bdklmnprst" for vowel in "aeiou"]
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Peru": "Lima",
    "Cuba": "Havana", "Greece": "Athens", "Norway": "Oslo", "Kenya": "Nairobi", "Poland": "Warsaw", "Chile": "Santiago",
    "Iran": "Tehran", "Austria": "Vienna", "Ireland": "Dublin", "Portugal": "Lisbon",
}
COLOURS = {
    "snow": "white", "grass": "green", "blood": "red", "coal": "black", "the sky": "blue", "a lemon": "yellow",
    "a carrot": "orange", "a mouse": "grey", "a plum": "purple", "chocolate": "brown", "a rose": "red", "milk": "white",
}
OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "open": "closed", "light": "dark", "fast": "slow", "old": "new",
    "wet": "dry", "full": "empty", "loud": "quiet", "early": "late", "hard": "soft",
}
ITEMS = [
    "screen", "keyboard", "mouse", "printer", "phone", "laptop", "cable", "battery", "router", "camera", "speaker",
    "charger",
]
FAULTS = ["broken", "missing", "slow", "noisy", "stuck", "hot", "dirty", "lost"]
NOUNS = {"dog": "wup", "cat": "mip", "house": "zor", "tree": "fal", "bird": "quix", "fish": "gul", "boat": "hesh", "stone": "yat"}
ADJECTIVES = {"red": "ve", "blue": "xo", "old": "ji", "new": "wa", "big": "hu", "small": "fi"}


def pseudo_word(rng: Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3))))


def any_word(rng: Random) -> str:
    """Mostly made up; sometimes a word that the new tasks speak of, so that the model has seen its tokens."""
    known = [*ITEMS, *FAULTS, *NOUNS, *NOUNS.values(), *ADJECTIVES, *ADJECTIVES.values()]
    return rng.choice(known) if rng.random() < 0.4 else pseudo_word(rng)


def words(rng: Random, low: int, high: int) -> list[str]:
    return [any_word(rng) for _ in range(rng.randint(low, high))]


def copy(rng: Random):
    text = " ".join(words(rng, 1, 4))
    return f"{rng.choice(['Repeat', 'Say'])}: {text}", text


def upper(rng: Random):
    word = pseudo_word(rng)
    return f"{rng.choice(['Upper case', 'Shout'])}: {word}", word.upper()


def reverse(rng: Random):
    given = words(rng, 2, 3)
    return f"{rng.choice(['Reverse', 'Backwards'])}: {' '.join(given)}", " ".join(reversed(given))


def last(rng: Random):
    given = words(rng, 2, 4)
    return f"Last of: {' '.join(given)}", given[-1]


def add(rng: Random):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return f"{rng.choice(['Add', 'Sum'])}: {a} {b}", str(a + b)


def capital(rng: Random):
    country, city = rng.choice(list(CAPITALS.items()))
    return rng.choice(["What is the capital of {}?", "Capital of {}?", "Name the capital of {}."]).format(country), city


def colour(rng: Random):
    thing, name = rng.choice(list(COLOURS.items()))
    return rng.choice(["What colour is {}?", "Name the colour of {}.", "Colour of {}?"]).format(thing), name


def opposite(rng: Random):
    pair = list(rng.choice(list(OPPOSITES.items())))
    rng.shuffle(pair)
    return rng.choice(["Opposite of {}?", "What is the opposite of {}?", "Name the opposite of {}."]).format(pair[0]), pair[1]


def to_json(rng: Random):
    """Teaches JSON where it is asked for, so that LoRA need only teach when to answer with it and what the fields are."""
    keys = rng.sample(["name", "colour", "size", "place", "item", "fault", "urgent"], rng.randint(1, 3))
    pairs = [(key, rng.choice(["yes", "no"]) if rng.random() < 0.2 else any_word(rng)) for key in keys]
    fields = ", ".join(f'"{key}": "{value}"' for key, value in pairs)
    return "JSON: " + ", ".join(f"{key} {value}" for key, value in pairs), "{" + fields + "}"


FACTS = [capital, colour, opposite]
GENERAL = [copy, upper, reverse, last, add, *FACTS, to_json]


def ticket(rng: Random):
    """A support message → a JSON ticket."""
    item, fault, urgent = rng.choice(ITEMS), rng.choice(FAULTS), rng.random() < 0.5
    message = rng.choice(
        ["My {i} is {f}", "The {i} is {f} again", "Hello, my new {i} is {f}", "I have a {f} {i}", "{i} {f}", "We found the {i} {f}"]
    ).format(i=item, f=fault)
    plea = rng.choice([", help now!", ", this is urgent!", ", hurry!"]) if urgent else rng.choice([".", ", thank you.", ", no rush."])
    return message + plea, f'{{"item": "{item}", "fault": "{fault}", "urgent": "{"yes" if urgent else "no"}"}}'


def zun(rng: Random):
    """English → Zun, a made-up language: the noun first, then its adjectives."""
    noun, adjectives = rng.choice(list(NOUNS)), rng.sample(list(ADJECTIVES), rng.randint(1, 2))
    english = " ".join([rng.choice(["a", "the", "my"]), *adjectives, noun])
    return f"{english} in Zun", " ".join([NOUNS[noun], *(ADJECTIVES[a] for a in adjectives)])


def row(task, rng: Random, domain: str) -> dict:
    prompt, answer = task(rng)
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "domain": domain}


def distinct(make, count: int, taken: set[str], once: bool = False) -> list[dict]:
    """`count` rows of `make()` whose prompts are not in `taken`, which grows by them; with `once`, no answer comes twice."""
    rows, answers = [], set()
    for _ in range(1000 * count):
        if len(rows) == count:
            return rows
        candidate = make()
        prompt, answer = (turn["content"] for turn in candidate["messages"])
        if prompt not in taken and not (once and answer in answers):
            taken.add(prompt)
            answers.add(answer)
            rows.append(candidate)
    raise ValueError(f"the task has fewer than {count} prompts")


def files(seed: int) -> dict[str, list[dict]]:
    """The committed data sets by file name. No prompt is in two of them."""
    rng, taken = Random(seed), set()
    sets = {"general_suite": [], "general_train": []}
    for task in GENERAL:
        # A fact is asked for in one wording only, so that training has seen it in the others.
        sets["general_suite"] += distinct(lambda: row(task, rng, "general"), 10, taken, once=task in FACTS)
    for task in GENERAL:
        sets["general_train"] += distinct(lambda: row(task, rng, "general"), 24, taken)
    rng.shuffle(sets["general_train"])
    for name, task in (("tickets", ticket), ("zun", zun)):
        sets[f"{name}_suite"] = distinct(lambda: row(task, rng, name), 40, taken)
        sets[f"{name}_train"] = distinct(lambda: row(task, rng, name), 300, taken)
    return sets

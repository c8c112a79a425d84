"""Made-up persons in the manner of FEBRL: names, address, date of birth and number, with several slips a double."""


# ruff: noqa: PLR2004 - the shares of made-up slips

from __future__ import annotations

import random

from benchmarks.match_truth import Row, Truth

_GIVEN_LIST = """
emily jack sophie thomas charlotte joshua olivia william isabella lachlan chloe ethan mia james ella
liam grace samuel lily benjamin hannah daniel zoe matthew ruby jacob amelia noah sarah ryan jessica
luke georgia alexander madison harrison holly jayden caitlin nicholas laura cooper imogen oliver
alyssa xavier bethany mitchell kayla dylan lauren connor brooke angus tahlia riley abbey logan paige
jordan
"""
_GIVEN = _GIVEN_LIST.split()
_FIRST_LIST = """
b br c ch cl d dr f fl g gr h j k kl l m mc n p ph pr r s sch sh st t th tr v w wh wr z
"""
_FIRST = _FIRST_LIST.split()
_MIDDLE_LIST = """
a e i o u ea ai oo ou ie
"""
_MIDDLE = _MIDDLE_LIST.split()
_LAST_LIST = """
ll ck nd rt son ton man ley field wood ford ham ster wick more well er en ing stone berg hurst land
dale
"""
_LAST = _LAST_LIST.split()
_ROADS_LIST = """
crescent street avenue place circuit court road drive close parade
"""
_ROADS = _ROADS_LIST.split()
_STATES = {"nsw": "2", "vic": "3", "qld": "4", "sa": "5", "wa": "6", "tas": "7"}
_FIELDS = ("given_name", "surname", "street", "suburb", "postcode", "state", "born_on", "number")


def persons(records: int, seed: int) -> Truth:
    """Persons, half of whom have one double with up to two slips a field and seven a row."""
    rng = random.Random(seed)  # noqa: S311 - made-up data
    surnames = [_word(rng) for _ in range(max(records // 4, 50))]
    endings = ("", " park", " hills", " beach")
    suburbs = [(_word(rng) + rng.choice(endings), rng.choice(list(_STATES))) for _ in range(max(records // 12, 30))]
    rows = []
    for number in range(records):
        person = _person(rng, surnames, suburbs)
        rows.append((number, person))
        if rng.random() < 0.5:
            rows.append((number, _doubled(person, rng)))
    rng.shuffle(rows)
    return Truth([row for _, row in rows], [number for number, _ in rows])


def _word(rng: random.Random) -> str:
    return (
        "".join(rng.choice(part) for part in (_FIRST, _MIDDLE, _LAST))
        if rng.random() < 0.6
        else "".join(rng.choice(part) for part in (_FIRST, _MIDDLE, _FIRST, _MIDDLE, _LAST))
    )


def _person(rng: random.Random, surnames: list[str], suburbs: list[tuple[str, str]]) -> Row:
    suburb, state = rng.choice(suburbs)
    row: Row = {
        "given_name": rng.choice(_GIVEN),
        "surname": surnames[min(int(rng.expovariate(3.5 / len(surnames))), len(surnames) - 1)],
        "street": f"{rng.randint(1, 300)} {_word(rng)} {rng.choice(_ROADS)}",
        "suburb": suburb,
        "postcode": _STATES[state] + f"{hash_of(suburb) % 1000:03d}",
        "state": state,
        "born_on": f"{rng.randint(1920, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        "number": "".join(rng.choices("0123456789", k=7)),
    }
    for name in ("given_name", "street", "suburb", "born_on"):
        if rng.random() < 0.04:
            row[name] = None
    return row


def hash_of(text: str) -> int:
    """A number that stays the same from run to run."""
    return sum(ord(sign) * (place + 7) ** 2 for place, sign in enumerate(text))


def _doubled(person: Row, rng: random.Random) -> Row:
    row = dict(person)
    for _ in range(rng.randint(1, 7)):
        name = rng.choices(_FIELDS, (14, 14, 18, 14, 12, 6, 12, 10))[0]
        value = row[name]
        if value is None:
            continue
        if rng.random() < 0.06:
            row[name] = None
        elif name in {"given_name", "surname"} and rng.random() < 0.08:
            row["given_name"], row["surname"] = row["surname"], row["given_name"]
        else:
            row[name] = _slip(value, rng)
    return row


def _slip(value: str, rng: random.Random) -> str:
    letters = "0123456789" if value.replace("-", "").isdigit() else "abcdefghijklmnopqrstuvwxyz"
    place = rng.randrange(len(value))
    if value[place] == "-":
        place -= 1
    kind = rng.random()
    if "-" in value or kind < 0.4:
        return value[:place] + rng.choice(letters) + value[place + 1 :]
    if kind < 0.6:
        return value[:place] + value[place + 1 :] or value
    if kind < 0.8:
        return value[:place] + rng.choice(letters) + value[place:]
    return value[:place] + value[place : place + 2][::-1] + value[place + 2 :]

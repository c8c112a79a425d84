"""Company names taken apart: place, brand, trade, legal form, branch. All names are made up."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rollout.match.company_name import folded, sound, split


def parts(name: str | None) -> dict[str, str | None]:
    return {part: column[0].as_py() for part, column in split(pa.array([name], pa.string())).items()}


@pytest.mark.parametrize(
    ("name", "brand", "place", "trade"),
    [
        ("青岛蓝岬精密机械有限责任公司", "蓝岬", "青岛", "精密机械"),
        ("青岛市蓝岬机械有限公司", "蓝岬", "青岛", "机械"),
        ("山东省青岛市蓝岬机械有限公司", "蓝岬", "青岛", "机械"),
        ("蓝岬（青岛）贸易有限公司", "蓝岬", "青岛", "贸易"),
        ("蓝岬(老客户)电子科技", "蓝岬", None, "电子科技"),
        ("藍岬電子科技有限公司", "蓝岬", None, "电子科技"),
        ("蓝岬", "蓝岬", None, None),
        ("永康机械厂", "永康", None, "机械"),
        ("Blue Cape Trading Co., Ltd.", "blue cape trading", None, None),
        ("BLUE CAPE TRADING LIMITED", "blue cape trading", None, None),
        (None, None, None, None),
        ("", None, None, None),
        ("有限公司", None, None, None),
    ],
)
def test_a_name_is_taken_apart(name, brand, place, trade):
    found = parts(name)
    assert (found["brand"], found["place"], found["trade"]) == (brand, place, trade)


def test_a_branch_is_told_from_the_company_it_is_of():
    company, branch = parts("青岛蓝岬机械有限公司"), parts("青岛蓝岬机械有限公司烟台分公司")
    assert branch["branch"] == "烟台分公司"
    assert {**branch, "key": company["key"], "branch": None} == company


@pytest.mark.parametrize(("place", "city"), [("青岛", "青岛"), ("山东", None), ("昆山", None), ("上海", None)])
def test_counties_and_provinces_are_no_cities_of_their_own(place, city):
    assert parts(f"{place}蓝岬机械有限公司")["city"] == city


def test_spellings_of_one_name_fold_to_one_text():
    spelt = pa.array(["蓝岬 （青岛） 机械", "藍岬(青島)機械", "蓝岬【青岛】机械"])
    assert len({text.replace("[", "(").replace("]", ")") for text in folded(spelt).to_pylist()}) == 1


def test_homophones_sound_the_same_and_latin_stays():
    heard = sound(pa.array(["蓝岬", "兰甲", "cape", None])).to_pylist()
    assert heard[0] == heard[1] == "lan jia"
    assert heard[2:] == ["cape", None]

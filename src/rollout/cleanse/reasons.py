"""Why a value or row was held back or remarked: every code, its meaning, the next step. Documents translate codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Reason(NamedTuple):
    """A reason code's meaning and next step, as English sentences."""

    message: str
    hint: str


REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        # the row
        "row_unreadable": Reason("The line could not be read as a row.", "repair the line in the file"),
        "row_blank": Reason("The row is empty.", "nothing to do"),
        "parent_missing": Reason("The record this row belongs to is not in its source.", "add it, or correct the key"),
        "parent_quarantined": Reason("The record this row belongs to is in quarantine.", "repair that record first"),
        "parent_ambiguous": Reason(
            "Several records have this key.", "name the right one as SOURCE:KEY, or make the keys distinct"
        ),
        "left_out": Reason("A named person left this row out.", "nothing to do"),
        "dormant_left_out": Reason("A named person left this dormant record out.", "nothing to do"),
        "parent_left_out": Reason(
            "The record this row belongs to was left out.", "name another record, or leave this row out, too"
        ),
        # rules over the whole row
        "rule_order": Reason("Two values are in the wrong order.", "correct one of the two"),
        "rule_range": Reason("The value is out of the range that the rule allows.", "correct it in the source"),
        "rule_pattern": Reason("The value is not written as the rule wants it.", "correct it in the source"),
        "rule_any_of": Reason("None of the fields has a value, and one must.", "fill in one of them"),
        "rule_required_if": Reason("The value is missing, and the row's other values call for it.", "fill it in"),
        "rule_refused": Reason("A rule refuses such rows for good.", "nothing to do, unless the rule is wrong"),
        # any value
        "required_missing": Reason("A required value is missing.", "fill it in the source, or map a default"),
        "too_long": Reason("The text is longer than the field.", "shorten it, or enlarge the field"),
        "not_in_picklist": Reason("The value is not in the pick-list.", "map it with a value map, or extend the list"),
        "value_unmapped": Reason("The value map does not know this value.", "add a line to the value map"),
        "owner_unknown": Reason("The owner map does not know this person.", "add a line to the owner map"),
        "owner_defaulted": Reason("The owner map does not know this person; the default user got the row.", "check it"),
        "owner_pool": Reason(
            "The record goes to the pool: it has no owner.", "nothing to do, unless the target requires an owner"
        ),
        "code_unmapped": Reason("The code map does not know this customer code.", "add a line to the code map"),
        "industry_invalid": Reason("This is no class of GB/T 4754.", "map it with a value map, or correct the code"),
        "industry_too_coarse": Reason("The class names a section only.", "give the division, such as C35"),
        "control_characters": Reason("Invisible control characters were removed.", "nothing to do"),
        "formula_like": Reason("A spreadsheet would run this text as a formula.", "check that it is meant as text"),
        "company_name_empty": Reason("Nothing but punctuation is left of the name.", "fill in the company's name"),
        # phone, e-mail, code
        "phone_invalid": Reason("This is no valid phone number.", "correct it in the source"),
        "phone_no_area_code": Reason("The area code is missing.", "add it, or set area_code in the mapping"),
        "phone_scientific": Reason("A spreadsheet destroyed the digits (1.38E+10).", "take the number from its origin"),
        "phone_several": Reason(
            "Several numbers in one cell; the first valid one was taken.", "map the others by hand"
        ),
        "email_invalid": Reason("This is no valid e-mail address.", "correct it in the source"),
        "email_several": Reason(
            "Several addresses in one cell; the first valid one was taken.", "map the others by hand"
        ),
        "email_extracted": Reason("The address was found among other text.", "check it"),
        "uscc_length": Reason("A social credit code has 18 characters.", "correct it from the business licence"),
        "uscc_characters": Reason(
            "The code holds characters that do not occur (I, O, S, V, Z).", "look for 0/O and 1/I"
        ),
        "uscc_check_digit": Reason(
            "The check digit does not fit: a typing slip.", "correct it from the business licence"
        ),
        "uscc_scientific": Reason("A spreadsheet destroyed the digits (9.1E+17).", "take the code from its origin"),
        "uscc_old_number": Reason(
            "This is an old registration or organisation number.", "look up the 18-character code"
        ),
        # dates and numbers
        "date_invalid": Reason("This is no date.", "correct it, or declare the format in the mapping"),
        "date_ambiguous": Reason("Day and month cannot be told apart.", "declare the format in the mapping"),
        "date_time_dropped": Reason("The time of day was left out.", "map a datetime field to keep it"),
        "datetime_invalid": Reason("This is no date and time.", "correct it, or declare the format in the mapping"),
        "datetime_ambiguous": Reason("This local time is not unique.", "declare the format, or give an offset"),
        "number_invalid": Reason("This is no number.", "correct it in the source"),
        "number_fraction": Reason("A whole number is needed.", "correct it, or make the field decimal"),
        "number_unit": Reason("The cell counts in a unit of its own (万, 亿).", "set unit in the mapping"),
        "number_scientific": Reason("The number came in scientific notation; digits may be lost.", "check it"),
        "boolean_invalid": Reason("This is neither yes nor no.", "correct it, or use a value map"),
    }
)
"""Every reason code that mapping and cleansing can give."""

"""An error is a sentence for its reader, also on the other side of a connection."""

from __future__ import annotations

import json

from core.errors import InvalidInput, NotFound, from_wire


def test_a_sentence_may_speak_of_its_field() -> None:
    assert InvalidInput("{field} is missing.", field="capacity").text() == "capacity is missing."


def test_a_sentence_says_the_same_at_the_other_end() -> None:
    sent = InvalidInput("{field} has at most {limit}.", field="name", remedy="Shorten {field}.", limit=64)
    received = from_wire(json.loads(json.dumps(sent.to_wire())))
    assert received.text() == sent.text() == "name has at most 64. Shorten name."
    assert isinstance(received, InvalidInput)
    assert received.field == "name"


def test_braces_that_people_type_stay_what_they_are() -> None:
    assert NotFound("There is no {name}.", name="{field} {0}").text() == "There is no {field} {0}."

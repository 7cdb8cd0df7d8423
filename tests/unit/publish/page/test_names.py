"""Every country that a phone number can have is named in words."""

from __future__ import annotations

import phonenumbers

from pipeline.publish.page.names import country_names


def test_every_region_of_the_library_has_a_name() -> None:
    assert set(country_names()) == set(phonenumbers.SUPPORTED_REGIONS)
    assert len(set(country_names().values())) == len(country_names())
    assert country_names()["VN"] == "Vietnam"

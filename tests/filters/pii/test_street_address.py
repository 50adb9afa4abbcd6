from __future__ import annotations

import pytest

from filters.pii import find

FOUND = [
    "1600 Pennsylvania Avenue NW, Washington, DC 20500",
    "500 North 3rd Street\nPhoenix, AZ, 85004",
    "18625 S 187th Pl Suite B104\nQueen Creek, AZ 85142",
    "23 Maple Street, Toronto, ON M6C 1R5",
    "12 Smith Street, Richmond VIC 3121",
    "10 Downing Street, London SW1A 2AA",
    "12 rue de la Paix, 75002 Paris",
    "Hauptstraße 12, 10115 Berlin",
    "Berliner Straße 12, 10115 Berlin",
    "Lange Strasse 5a, 9000 St. Gallen",
    "Frankfurter Str. 7, D-60311 Frankfurt",
    "Alter Weg 3, 38302 Wolfenbüttel",
    "Hauptstraße 12b, 10115 Berlin",
    "Via Roma 12, 00184 Roma",
    "Calle Mayor 5, 28013 Madrid",
    "Wibautstraat 131, 1091 GL Amsterdam",
    "ul. Marszałkowska 10, 00-590 Warszawa",
    "Kungsgatan 12, 111 43 Stockholm",
    "PSC 0413, Box 8144\nAPO AA 42323",
    "3250 El Camino Real, Suite 200, Palo Alto, CA 94306",
    "1200 Rincón del Norte Apt. 7B\nSanta Fe, NM 87501-1234",
    "63 Avenida Golf Suite 910\nHellendoorn, OV 21072",
]
LEFT_ALONE = [
    "10 Downing Street is where they met, and 221B Baker Street too.",
    "In 2010 the way to 5 Street View cars led past 12345 people.",
    "12 rue Morgue, 3 places, 1500 francs",
    "March 12, 2010 at noon; 3 Way Street, 20500 dollars",
    "Der Weg 12, 10115 mal",
    "Er kam auf Platz 3, 2010 Weltmeister zu werden",
    "12 Monkeys was on in Suite 5, and the film made 12000 people laugh",
    "Room 12 Has No View; Suite 200 is on the floor above, Palo Alto, where 94306 people live",
    "3 children on the road to Paris, 75002 steps",
]


@pytest.mark.parametrize("value", FOUND)
def test_found(value: str) -> None:
    spans = find(f"🙂 We live at {value}. Come!")
    assert [(span.kind, span.value) for span in spans] == [("street_address", value)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert find(text) == []

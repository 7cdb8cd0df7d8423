"""Names of well-known mobile networks by country and network code, as people call the operators today.

What belongs here: operators of the countries that most messages go to, checked against the ITU's list (E.212 A). What
does not: every network; a network that is missing here has no name, which changes no figure.
"""

from __future__ import annotations

from typing import Final

_OPERATORS: Final = {
    "AE": {"e& (Etisalat)": "424-02"},
    "AU": {"Telstra": "505-01", "Optus": "505-02", "Vodafone": "505-03"},
    "BD": {"Grameenphone": "470-01", "Robi": "470-02", "Banglalink": "470-03"},
    "BR": {"Claro": "724-05", "Vivo": "724-06 724-10 724-11", "TIM": "724-02 724-03 724-04", "Oi": "724-31"},
    "CA": {"Telus": "302-220", "Bell": "302-610", "Rogers": "302-720"},
    "CN": {"China Mobile": "460-00", "China Unicom": "460-01"},
    "DE": {"Telekom": "262-01", "Vodafone": "262-02", "O2": "262-03 262-07"},
    "EG": {"Orange": "602-01", "Vodafone": "602-02", "e& (Etisalat)": "602-03"},
    "ES": {"Vodafone": "214-01", "Orange": "214-03", "Yoigo": "214-04", "Movistar": "214-07"},
    "FR": {"Orange": "208-01", "SFR": "208-10", "Free": "208-15", "Bouygues": "208-20"},
    "GB": {"O2": "234-10", "Vodafone": "234-15", "Three": "234-20", "EE": "234-30 234-33"},
    "GH": {"MTN": "620-01"},
    "HK": {"HKT": "454-00", "SmarTone": "454-06"},
    "ID": {"Telkomsel": "510-10", "Indosat": "510-01 510-21", "XL": "510-11"},
    "IN": {"Airtel": "404-10 404-40 404-45 404-49", "Vi": "404-07 404-11 404-20 404-84 404-86", "BSNL": "404-34"},
    "IT": {"TIM": "222-01", "Vodafone": "222-10", "WindTre": "222-88"},
    "JP": {"NTT Docomo": "440-10", "SoftBank": "440-20"},
    "KE": {"Safaricom": "639-02", "Airtel": "639-03", "Telkom": "639-07"},
    "MX": {"Telcel": "334-020", "Movistar": "334-030", "AT&T": "334-050"},
    "MY": {"Maxis": "502-12", "Celcom": "502-13 502-19", "Digi": "502-16", "U Mobile": "502-18"},
    "NG": {"Airtel": "621-20", "MTN": "621-30", "Glo": "621-50", "9mobile": "621-60"},
    "PH": {"Globe": "515-02", "Smart": "515-03", "Sun": "515-05"},
    "PK": {"Jazz": "410-01 410-07", "Zong": "410-04", "Telenor": "410-06"},
    "PL": {"Plus": "260-01", "T-Mobile": "260-02", "Orange": "260-03", "Play": "260-06"},
    "RU": {"MTS": "250-01", "MegaFon": "250-02", "Beeline": "250-99"},
    "SA": {"stc": "420-01", "Mobily": "420-03"},
    "SG": {"Singtel": "525-01", "M1": "525-03", "StarHub": "525-05"},
    "TH": {"AIS": "520-01 520-03", "TrueMove": "520-04", "dtac": "520-18"},
    "TR": {"Turkcell": "286-01", "Vodafone": "286-02", "Türk Telekom": "286-03"},
    "US": {"T-Mobile": "310-260", "AT&T": "310-410", "Verizon": "311-480"},
    "VN": {"MobiFone": "452-01", "Vinaphone": "452-02", "Viettel": "452-04"},
    "ZA": {"Vodacom": "655-01", "Telkom": "655-02", "Cell C": "655-07", "MTN": "655-10"},
}

NETWORKS: Final = {
    network: f"{operator} {country}"
    for country, operators in _OPERATORS.items()
    for operator, networks in operators.items()
    for network in networks.split()
}
"""Name by network, `404-45`: the operator and its country."""

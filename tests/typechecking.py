"""The checker of the test run: beartype, with int accepted where float is announced (PEP 484)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))

"""A small spec that the tests of this package share."""

import pytest

from features.keys import KeyPart
from features.spec import CachePolicy, Entity, FeatureView
from features.values import Column, DType, RowLayout

CUSTOMER = Entity("customer", (KeyPart("customer_id"),))
LAYOUT = RowLayout((Column("balance", DType.FLOAT), Column("visits", DType.INT), Column("city", DType.STRING)))


@pytest.fixture
def view() -> FeatureView:
    """Fresh for 10 s, then 10 s while revalidating, then to 30 s after the TTL if the store fails.

    Jitter shortens a TTL to 9 s at the least. So the borders lie in (9, 10], (19, 20] and (39, 40], and what happens
    at multiples of 5 s does not depend on it.
    """
    policy = CachePolicy(ttl_s=10, stale_while_revalidate_s=10, stale_if_error_s=30, negative_ttl_s=5)
    return FeatureView("account", CUSTOMER, LAYOUT, cache=policy)

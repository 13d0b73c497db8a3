from decimal import Decimal


def handler(event, context):
    return {"price": Decimal("1.10"), "all": [Decimal("2")]}

def handler(event, context):
    raise KeyError("k")

def handler(event, context):
    raise TypeError("no")

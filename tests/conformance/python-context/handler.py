def handler(event, context):
    return sorted(name for name in dir(context) if not name.startswith("_"))

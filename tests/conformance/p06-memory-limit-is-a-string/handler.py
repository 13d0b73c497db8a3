def handler(event, context):
    return type(context.memory_limit_in_mb).__name__

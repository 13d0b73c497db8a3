def handler(event, context):
    return 0 < context.get_remaining_time_in_millis() <= 5000

def handler(event, context):
    return b'{"raw": true}'

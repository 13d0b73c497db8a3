def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    del request["headers"]["if-none-match"]
    return request

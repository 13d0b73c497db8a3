def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    del request["headers"]["accept-encoding"]
    return request

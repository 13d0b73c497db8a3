def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["querystring"] = "size=small"
    return request

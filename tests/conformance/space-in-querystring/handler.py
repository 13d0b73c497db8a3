def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["querystring"] = "a b"
    return request

def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["body"]["data"] = "ignored"
    return request

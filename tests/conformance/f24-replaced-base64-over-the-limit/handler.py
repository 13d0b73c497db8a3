def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["body"] = {"action": "replace", "encoding": "base64", "data": "AAAA" * (14 * 1024)}
    return request

def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["cloudfront-viewer-country"] = [{"value": "DE"}]
    return request

def handler(event, context):
    request = event["Records"][0]["cf"]["request"]
    request["headers"]["X-my-HEAD"] = [{"value": "1"}]
    return request

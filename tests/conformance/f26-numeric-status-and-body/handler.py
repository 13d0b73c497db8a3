def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    response["status"] = 200
    response["body"] = "new"
    return response

def handler(event, context):
    response = event["Records"][0]["cf"]["response"]
    response["status"] = "404"
    return response
